// Entry of a sandbox process: its control thread. It holds the pipe to the agent and the stop word, and
// keeps the deadline; the guest is on the other thread, so this one answers while a guest computes.
//
// The process ends when the pipe does: an agent that was killed leaves no guest behind.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { realTimers } from './clock.ts';
import { FrameReader, writeFrame } from './frames.ts';
import type { Frame } from './frames.ts';
import { FrameKind } from './messages.ts';
import type { RunHeader } from './messages.ts';
import type { ThreadNews, ThreadOrder } from './guest-thread.ts';
import { MAX_INPUT_BYTES, MAX_MODULE_BYTES, SEED_BYTES } from './guest-run.ts';
import { RESIDENT_WATCH_MS, maxResidentBytes } from './resident-bound.ts';
import { SharedBytes } from '../shared-bytes.ts';
import { SharedWords } from './shared-words.ts';
import { EPOCH_MS, StopWord, isPastDeadline } from './stop.ts';

/** Why the process ended itself, as its exit code. */
const EXIT = { PIPE_CLOSED: 0, THREAD_DIED: 70 } as const;

/**
 * 32 MiB of stack, committed as it is used: programs recurse some 600,000 plain frames deep before V8
 * says STACK_OVERFLOW. 512 MiB of JavaScript heap, for reading and rewriting a module of 16 MiB.
 */
const THREAD_LIMITS = { stackSizeMb: 32, maxOldGenerationSizeMb: 512 };

/** A person reads along: four times a second is live, and costs nothing. */
const LOG_INTERVAL_MS = 250;

/** What the contract lets a node tell of an attempt. */
const PROGRESS_INTERVAL_MS = 1_000;

const shared = new SharedWords();
const thread = new Worker(
  new URL(`./guest-thread${extname(import.meta.filename)}`, import.meta.url),
  { workerData: shared.buffer, env: {}, stdout: true, resourceLimits: THREAD_LIMITS },
);
let run: {
  readonly epochs: number;
  readonly logs: SharedBytes | null;
  sentLogBytes: number;
  callOffTicks?: () => void;
  callOffLogs?: () => void;
  callOffProgress?: () => void;
} | null = null;
/** The largest bound of all runs so far: what an earlier one held may not be given back yet. */
let maxBytes = 0;
let callOffWatch: (() => void) | undefined;

thread.on('message', (news: ThreadNews) => {
  switch (news.kind) {
    case 'entered':
      keepDeadline(news.atNs);
      tellProgress();
      return;
    case 'stopped':
      writeFrame(process.stdout, { kind: FrameKind.STOPPED, header: {} });
      return;
    case 'moduleMissing':
      endRun();
      writeFrame(process.stdout, { kind: FrameKind.MODULE_MISSING, header: {} });
      return;
    case 'ended':
      endRun();
      writeFrame(process.stdout, {
        kind: FrameKind.OUTCOME,
        header: news.header,
        parts: news.parts,
      });
  }
});
thread.on('error', (error) => {
  process.stderr.write(`The guest's thread failed: ${String(error)}\n`);
  process.exit(EXIT.THREAD_DIED);
});
thread.on('exit', () => process.exit(EXIT.THREAD_DIED));

/** An epoch at a time, as the deadline moves towards a guest that sleeps. */
function keepDeadline(enteredNs: bigint): void {
  const current = run;
  if (current === null) return;
  current.callOffTicks = realTimers.every(EPOCH_MS, () => {
    const elapsedNs = realTimers.nowNs() - enteredNs;
    if (!isPastDeadline({ epochs: current.epochs, elapsedNs, sleptNs: shared.sleptNs })) return;
    current.callOffTicks?.();
    if (!shared.askStop(StopWord.DEADLINE)) return;
    writeFrame(process.stdout, { kind: FrameKind.DEADLINE_PASSED, header: {} });
  });
}

/** A guest that was over within a second has told nothing but its end. */
function tellProgress(): void {
  if (run === null) return;
  let toldFuel = 0n;
  run.callOffProgress = realTimers.every(PROGRESS_INTERVAL_MS, () => {
    const { fuel } = shared;
    if (fuel <= toldFuel) return;
    toldFuel = fuel;
    writeFrame(process.stdout, { kind: FrameKind.PROGRESS, header: { fuel: String(fuel) } });
  });
}

/** What the guest logged since the last time. What it logs at its end comes with its outcome. */
function sendLogs(): void {
  if (run === null || run.logs === null || run.logs.length === run.sentLogBytes) return;
  const bytes = run.logs.take(run.sentLogBytes);
  run.sentLogBytes += bytes.byteLength;
  writeFrame(process.stdout, { kind: FrameKind.LOGS, header: {}, parts: [bytes] });
}

function endRun(): void {
  run?.callOffTicks?.();
  run?.callOffLogs?.();
  run?.callOffProgress?.();
  callOffWatch?.();
  run = null;
}

function watchMemory({ limits, inputBytes }: RunHeader): void {
  maxBytes = Math.max(maxBytes, maxResidentBytes({ ...limits, inputBytes }));
  callOffWatch = realTimers.every(RESIDENT_WATCH_MS, () => {
    const residentBytes = process.memoryUsage.rss();
    if (residentBytes <= maxBytes) return;
    process.stderr.write(`The sandbox holds ${residentBytes} bytes, more than ${maxBytes}\n`);
    // An exit would wait for the compiler, which goes on taking memory.
    process.kill(process.pid, 'SIGKILL');
  });
}

function obey({ kind, header, body }: Frame): void {
  if (kind === FrameKind.RUN) {
    const { grants, limits } = header as RunHeader;
    const logs = grants.debugLogs ? SharedBytes.create(limits.logBytes) : null;
    const order: ThreadOrder = {
      header: header as RunHeader,
      body,
      logs: logs?.buffer ?? null,
    };
    run = { epochs: limits.epochs, logs, sentLogBytes: 0 };
    if (logs !== null) run.callOffLogs = realTimers.every(LOG_INTERVAL_MS, sendLogs);
    shared.reset();
    watchMemory(order.header);
    thread.postMessage(order, [body.buffer as ArrayBuffer]);
  } else if (kind === FrameKind.CANCEL && run !== null) {
    shared.askStop(StopWord.CANCEL);
  }
}

const reader = new FrameReader(() => MAX_MODULE_BYTES + MAX_INPUT_BYTES + SEED_BYTES);
process.stdin.on('data', (chunk: Buffer) => {
  for (const frame of reader.push(chunk)) obey(frame);
});
process.stdin.on('end', () => process.exit(EXIT.PIPE_CLOSED));
process.stdin.on('close', () => process.exit(EXIT.PIPE_CLOSED));
process.stdout.on('error', () => process.exit(EXIT.PIPE_CLOSED));
