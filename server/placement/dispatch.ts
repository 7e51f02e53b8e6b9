import { RpcError } from '../rpc/error.ts';
import type { CertificateChains } from '../bills/certificate-chains.ts';
import { nodeTopic, type Announcements } from '../jobs/announcements.ts';
import { recordIntroduction } from '../nodes/node-store.ts';
import type { CallerOf } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { NodeTraits } from './assignment.ts';
import { readOpenLeases, takeOrdersToResend } from './lease-store.ts';
import type { OrderSender } from './order-sender.ts';
import { ACKNOWLEDGE_MS, type Placer } from './placer.ts';
import { WorkStream, type WorkStreams } from './work-stream.ts';

export interface DispatchOptions {
  readonly store: Store;
  readonly chains: CertificateChains;
  readonly streams: WorkStreams;
  readonly sender: OrderSender;
  readonly placer: Placer;
  readonly acknowledgements: Acknowledgements;
  readonly announcements: Announcements;
  readonly onError: (doing: string, cause: unknown) => void;
}

/** What happens on Work streams. */
export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #unsubscribes = new Map<WorkStream, () => void>();

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Opens the node's stream, in place of its older one; sends again what may have been lost with that. */
  async open({ nodeId, keyId, chain }: CallerOf<'node'>): Promise<WorkStream> {
    const { chains, streams, announcements } = this.#options;
    const stream = new WorkStream({ nodeId, keyId, chainDigest: await chains.keep(chain) });
    const older = streams.add(stream);
    older?.end(
      new RpcError('ABORTED', 'SUPERSEDED', `working for '${nodeId}': a newer stream took over`),
    );
    this.#unsubscribes.set(
      stream,
      announcements.subscribe(nodeTopic(nodeId), () => this.#background(stream, 'cancel')),
    );
    this.#background(stream, 'resend');
    this.#background(stream, 'cancel');
    return stream;
  }

  close(stream: WorkStream): void {
    this.#unsubscribes.get(stream)?.();
    this.#unsubscribes.delete(stream);
    this.#options.streams.remove(stream);
  }

  /** The node says what it is; operators see that too. */
  introduce(stream: WorkStream, traits: NodeTraits): void {
    stream.introduce(traits);
    const { nodeId } = stream.node;
    this.#options.store
      .transaction((em) => recordIntroduction(em, nodeId, traits))
      .catch((cause: unknown) =>
        this.#options.onError(`writing the introduction of '${nodeId}'`, cause),
      );
  }

  offer(stream: WorkStream, freeSlots: number): void {
    stream.offer(freeSlots);
    if (freeSlots > 0) this.#options.placer.wakeForSlots();
  }

  /** The node has the order; it is told to stop where that came too late, or the client cancelled. */
  async acknowledge(stream: WorkStream, attemptId: string): Promise<void> {
    const { acknowledgements, onError } = this.#options;
    const orderSignature = stream.settle(attemptId);
    try {
      const { nodeId } = stream.node;
      const verdict = await acknowledgements.add({ nodeId, attemptId, orderSignature });
      if (verdict.kind === 'stale' || verdict.cancelRequested) stream.cancel(attemptId);
    } catch (cause) {
      onError(`acknowledging the attempt '${attemptId}'`, cause);
    }
  }

  /** Tells every connected node again which attempts to stop. */
  cancel(attempts: readonly { readonly nodeId: string; readonly attemptId: string }[]): void {
    for (const { nodeId, attemptId } of attempts) {
      this.#options.streams.of(nodeId)?.cancel(attemptId);
    }
  }

  #background(stream: WorkStream, what: 'resend' | 'cancel'): void {
    const { nodeId } = stream.node;
    const doing = what === 'resend' ? this.#resend(stream) : this.#cancel(stream);
    doing.catch((cause: unknown) =>
      this.#options.onError(`bringing the Work stream of '${nodeId}' up to date (${what})`, cause),
    );
  }

  async #resend(stream: WorkStream): Promise<void> {
    const { store, sender } = this.#options;
    const { nodeId, keyId } = stream.node;
    const orders = await store.transaction((em) =>
      takeOrdersToResend(em, { nodeId, keyId, acknowledgeMs: ACKNOWLEDGE_MS }),
    );
    for (const order of orders) {
      stream.take(order.attemptId);
      await sender.send(stream, order);
    }
  }

  async #cancel(stream: WorkStream): Promise<void> {
    const leases = await this.#options.store.read((em) => readOpenLeases(em, stream.node.nodeId));
    for (const { attemptId, cancelRequested, isAcknowledged } of leases) {
      // One that is not acknowledged yet is cancelled when it is.
      if (cancelRequested && isAcknowledged) stream.cancel(attemptId);
    }
  }
}
