// Entry of the thread that guests run on, one after another, in a sandbox process. It answers nothing
// while a guest computes; the control thread (control-thread.ts) does.
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { realTimers } from './clock.ts';
import { SharedBytes } from '../shared-bytes.ts';
import { SharedWords } from './shared-words.ts';
import { ModuleCache } from './module-cache.ts';
import { ModuleRefused, checkEntry, prepareModule } from './prepared-module.ts';
import type { PreparedModule } from './prepared-module.ts';
import { endedWithout } from './guest-run.ts';
import type { GuestOutcome, GuestSpec } from './guest-run.ts';
import { outcomeFrame, readRun } from './messages.ts';
import type { RunHeader } from './messages.ts';
import { runGuest } from './run-guest.ts';

/** From the control thread. */
export interface ThreadOrder {
  readonly header: RunHeader;
  readonly body: Uint8Array;
  /** Of SharedBytes, for what the guest logs; null where nobody wants logs. */
  readonly logs: SharedArrayBuffer | null;
}

/** To the control thread. */
export type ThreadNews =
  | { readonly kind: 'entered'; readonly atNs: bigint }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'moduleMissing' }
  | { readonly kind: 'ended'; readonly header: object; readonly parts: readonly Uint8Array[] };

const PAGE_BYTES = 65_536;
/** 64 MiB. */
const RECLAIM_PAGES = 1024;
/** Every memory reserves 10 GB of addresses, however small it is: reclaim at least each 64 runs. */
const LEAST_PAGES = 16;

if (parentPort === null) throw new Error('guest-thread must be started as a worker');
const port = parentPort;
const shared = new SharedWords(workerData as SharedArrayBuffer);
const cache = new ModuleCache<PreparedModule>();
let heldPages = 0;

function tell(news: ThreadNews): void {
  port.postMessage(news);
}

port.on('message', ({ header, body, logs }: ThreadOrder) => {
  const spec = readRun(header, body);
  const prepared = prepare(header, spec);
  if (prepared === 'missing') {
    tell({ kind: 'moduleMissing' });
    return;
  }
  const outcome = prepared instanceof ModuleRefused ? refusal(prepared) : run(prepared, spec, logs);
  tell({ kind: 'ended', ...outcomeFrame(outcome) });
  reclaim(outcome.peakMemoryPages);
});

/**
 * Gives the memory of ended guests back. V8 does not count it as a reason to collect, and without this
 * a hundred runs of 256 MiB are held at once. Done after the answer, some 2 ms each 64 MiB.
 */
function reclaim(pages: number): void {
  heldPages += Math.max(pages, LEAST_PAGES);
  if (heldPages < RECLAIM_PAGES) return;
  heldPages = 0;
  globalThis.gc?.();
}

function prepare(header: RunHeader, spec: GuestSpec): PreparedModule | ModuleRefused | 'missing' {
  const { moduleDigest: digest } = header;
  const maxMemoryPages = Math.floor(spec.limits.memoryBytes / PAGE_BYTES);
  const key = `${digest} ${maxMemoryPages}`;
  try {
    let prepared = cache.get(key);
    if (prepared === undefined) {
      if (header.moduleBytes === null) return 'missing';
      const found = createHash('sha256').update(spec.module).digest('hex');
      if (found !== digest) {
        return new ModuleRefused(`its bytes have the digest ${found}, not ${digest}`);
      }
      prepared = prepareModule(spec.module, maxMemoryPages);
      cache.set(key, prepared, spec.module.byteLength);
    }
    checkEntry(prepared.report, spec.entry);
    return prepared;
  } catch (error) {
    if (error instanceof ModuleRefused) return error;
    throw error;
  }
}

function run(
  prepared: PreparedModule,
  spec: GuestSpec,
  logs: SharedArrayBuffer | null,
): GuestOutcome {
  return runGuest(prepared, spec, {
    logs: logs === null ? null : SharedBytes.of(logs),
    onEntry: () => tell({ kind: 'entered', atNs: realTimers.nowNs() }),
    onStopped: () => tell({ kind: 'stopped' }),
    onSleep: (sleptNs) => shared.setSleptNs(sleptNs),
    onFuel: (fuel) => shared.setFuel(fuel),
    stopWord: () => shared.stopWord,
  });
}

function refusal({ message }: ModuleRefused): GuestOutcome {
  return endedWithout('INVALID_MODULE', message);
}
