// Runs a bill's job again in a sandbox of this machine.
import { Entry, Grant, type BlobRef } from '#gen/gapjunction/job/v1/bill_pb';

import { JOB_END } from '../agent/jobs/receipt.ts';
import { digest, digestText, sameBytes } from '../protocol/bill/digest.ts';
import type { Replay } from '../protocol/bill/replay.ts';
import { MAX_EPOCHS, SandboxPool, type GuestSpec } from '../sandbox/sandbox.ts';
import { CommandError } from './failure.ts';

/** One replay needs one process, and it needs it once. */
const POOL = { maxProcesses: 1, idleMs: 1_000 } as const;

/**
 * Replays with this module and input. Rejects when they are not the ones of the order, so that nobody
 * takes another program's end for the bill's.
 */
export function sandboxReplay(files: {
  readonly module: Uint8Array;
  readonly input: Uint8Array;
}): Replay {
  return async ({ order, budgetFuel }) => {
    requireContent('module', files.module, order.module);
    requireContent('input', files.input, order.input);
    const spec: GuestSpec = {
      module: files.module,
      entry: order.entry === Entry.START ? 'START' : 'RUN',
      input: files.input,
      grants: {
        stdoutAsResult: order.grants.includes(Grant.STDOUT_AS_RESULT),
        debugLogs: order.grants.includes(Grant.DEBUG_LOGS),
      },
      limits: {
        fuel: budgetFuel,
        // The sandbox's own bound, a day: fuel ends the replay, however slow this machine is.
        epochs: MAX_EPOCHS,
        memoryBytes: Number(order.limits.memoryBytes),
        outputBytes: Number(order.limits.outputBytes),
        logBytes: Number(order.limits.logBytes),
      },
      seed: order.seed,
      stopStateAtOutOfFuel: true,
    };
    const pool = new SandboxPool(POOL);
    try {
      const outcome = await pool.run('replay', spec);
      return {
        end: JOB_END[outcome.end],
        endDetail: outcome.detail,
        fuel: outcome.fuel,
        outputDigest: digest(outcome.output),
        outputBytes: BigInt(outcome.output.byteLength),
        sleptNs: outcome.sleptNs,
        stopStateDigest: outcome.stopStateDigest,
      };
    } finally {
      await pool.close();
    }
  };
}

function requireContent(what: 'module' | 'input', bytes: Uint8Array, ref: BlobRef): void {
  const given = digest(bytes);
  if (BigInt(bytes.byteLength) === ref.sizeBytes && sameBytes(given, ref.digest)) return;
  throw new CommandError(
    `the ${what} given has the digest ${digestText(given)}, the order names ${digestText(ref.digest)}; give that one by --${what}`,
  );
}
