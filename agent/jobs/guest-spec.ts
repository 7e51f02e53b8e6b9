// What a guest is run with: the terms of its order, and the bytes that the order names.
import { Entry, Grant, type BlobRef } from '#gen/gapjunction/job/v1/bill_pb';
import type { GuestSpec } from '../../sandbox/sandbox.ts';
import { headersOf } from '../control-plane/request-id.ts';
import { download, type Downloader } from './download.ts';
import { Gate } from './gate.ts';
import type { ModuleStore } from './module-store.ts';
import type { AcceptedOrder } from './order-check.ts';

export interface GuestSpecParts extends Downloader {
  readonly modules: ModuleStore;
}

/** Of the 32 calls that a connection carries. */
const MOST_DOWNLOADS = 8;

export class GuestSpecs {
  readonly #parts: GuestSpecParts;
  readonly #downloads = new Gate(MOST_DOWNLOADS);

  constructor(parts: GuestSpecParts) {
    this.#parts = parts;
  }

  /** Fetches what is not here. Throws BlobUnavailable, or the signal's reason when it is aborted. */
  async of(accepted: AcceptedOrder, signal: AbortSignal): Promise<GuestSpec> {
    const { order } = accepted;
    const { limits, grants } = order;
    const [module, input] = await Promise.all([
      this.#moduleOf(accepted, signal),
      this.#inputOf(accepted, signal),
    ]);
    return {
      module,
      moduleDigest: order.module.digest,
      entry: order.entry === Entry.START ? 'START' : 'RUN',
      input,
      grants: {
        stdoutAsResult: grants.includes(Grant.STDOUT_AS_RESULT),
        debugLogs: grants.includes(Grant.DEBUG_LOGS),
      },
      limits: {
        fuel: limits.fuel,
        epochs: limits.deadlineEpochs,
        memoryBytes: Number(limits.memoryBytes),
        outputBytes: Number(limits.outputBytes),
        logBytes: Number(limits.logBytes),
      },
      seed: order.seed,
    };
  }

  async #moduleOf(accepted: AcceptedOrder, signal: AbortSignal): Promise<Uint8Array> {
    const { modules, clock } = this.#parts;
    const { module } = accepted.order;
    const kept = modules.get(module.digest, clock.now());
    if (kept !== null) return kept;
    const bytes = await this.#fetch(module, accepted, signal);
    modules.put(module.digest, bytes);
    return bytes;
  }

  async #inputOf(accepted: AcceptedOrder, signal: AbortSignal): Promise<Uint8Array> {
    const { order, inlineInput } = accepted;
    if (inlineInput !== null) return inlineInput;
    if (order.input.sizeBytes === 0n) return new Uint8Array();
    return await this.#fetch(order.input, accepted, signal);
  }

  #fetch(ref: BlobRef, accepted: AcceptedOrder, signal: AbortSignal): Promise<Uint8Array> {
    const { attemptId } = accepted.order;
    const headers = headersOf(accepted);
    return this.#downloads.through(() =>
      download(this.#parts, ref, { attemptId, headers, signal }),
    );
  }
}
