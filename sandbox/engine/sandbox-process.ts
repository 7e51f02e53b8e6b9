// One sandbox process as the agent holds it: started with as little as works, one guest at a time,
// killed rather than argued with.
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { dirname, extname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { BoundedBytes } from '../bounded-bytes.ts';
import { FrameError, FrameReader, writeFrame } from './frames.ts';
import type { Frame } from './frames.ts';
import { endedWithout } from './guest-run.ts';
import type { GuestOutcome, GuestSpec } from './guest-run.ts';
import {
  FrameKind,
  hexDigestOf,
  maxOutcomeBytes,
  readOutcome,
  readProgress,
  writeRun,
} from './messages.ts';
import { EPOCH_MS, STOP_ANSWER_MS } from './stop.ts';
import type { StopEnd } from './stop.ts';
import type { Timers } from './clock.ts';

/** What a sandbox may take to start, compile a module of 16 MiB and digest 4 GiB of memory. */
const OVERHEAD_MS = 60_000;
/** Of what a sandbox says on stderr, kept for our log. */
const MAX_STDERR_BYTES = 8 * 1024;

/** Digests of modules sent to a process, more than it keeps. */
const MAX_REMEMBERED_MODULES = 64;

const ENGINE = import.meta.dirname;
const ROOT = dirname(dirname(ENGINE));

/**
 * Node's own arguments for a sandbox: no permission but to read the source it is made of and to start
 * its one worker. SQLite has to be left out by a flag of its own: in Node 26 its files are not covered
 * by the permission model.
 */
export const SANDBOX_ARGUMENTS: readonly string[] = [
  '--permission',
  '--allow-worker',
  `--allow-fs-read=${join(ROOT, 'sandbox')}/`,
  `--allow-fs-read=${join(ROOT, 'metering')}/`,
  `--allow-fs-read=${join(ROOT, 'package.json')}`,
  '--no-experimental-sqlite',
  '--no-experimental-webstorage',
  '--disallow-code-generation-from-strings',
  '--disable-sigusr1',
  // For giving back the memory of ended guests at once.
  '--expose-gc',
  '--disable-warning=PERM0006',
];

interface Running {
  readonly spec: GuestSpec;
  readonly moduleDigest: string;
  readonly settle: (outcome: GuestOutcome) => void;
  /** Calls off the timers that would kill the process. */
  readonly timers: Set<() => void>;
  stopAsked: StopEnd | null;
  wasModuleSent: boolean;
  /** What came of the logs before the outcome. */
  readonly logs: BoundedBytes;
  readonly onLogs: ((bytes: Uint8Array) => void) | undefined;
  readonly onProgress: ((fuel: bigint) => void) | undefined;
}

export interface RunOptions {
  /** Aborting it asks the guest to stop. */
  readonly signal?: AbortSignal | undefined;
  /** Told what the guest logs while it runs, some times a second; the outcome has all of it. */
  readonly onLogs?: ((bytes: Uint8Array) => void) | undefined;
  /** Told how much fuel the guest has burnt, once a second. */
  readonly onProgress?: ((fuel: bigint) => void) | undefined;
}

export class SandboxProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #timers: Timers;
  readonly #reader = new FrameReader(() =>
    this.#running ? maxOutcomeBytes(this.#running.spec) : 0,
  );
  readonly #sentModules = new Set<string>();
  #running: Running | null = null;
  #stderr = '';
  #isDead = false;
  /** Settles when the process is gone. */
  readonly gone: Promise<void>;

  constructor(timers: Timers) {
    this.#timers = timers;
    this.#child = spawn(
      process.execPath,
      [...SANDBOX_ARGUMENTS, join(ENGINE, `control-thread${extname(import.meta.filename)}`)],
      { env: {}, cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.gone = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', (error) => {
        this.#stderr += String(error);
        resolve();
      });
    });
    void this.gone.then(() => this.#lost());
    this.#child.stdout.on('data', (chunk: Buffer) => this.#hear(chunk));
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-MAX_STDERR_BYTES);
    });
    // The pipe of a process that died; its end is seen by `close`.
    this.#child.stdin.on('error', () => undefined);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last of what the process said on stderr, for our own log. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Runs one guest; one at a time. */
  async run(
    spec: GuestSpec,
    { signal, onLogs, onProgress }: RunOptions = {},
  ): Promise<GuestOutcome> {
    if (this.#running !== null) throw new Error('A sandbox process runs one guest at a time');
    if (this.#isDead) return endedWithout('NODE_FAULT', 'SANDBOX_DIED');
    const cancel = () => this.#cancel();
    try {
      return await new Promise<GuestOutcome>((settle) => {
        const moduleDigest = hexDigestOf(spec);
        const withModule = !this.#sentModules.has(moduleDigest);
        this.#running = {
          spec,
          moduleDigest,
          settle,
          timers: new Set(),
          stopAsked: null,
          wasModuleSent: withModule,
          logs: new BoundedBytes(spec.limits.logBytes),
          onLogs,
          onProgress,
        };
        this.#killAfter(spec.limits.epochs * EPOCH_MS + OVERHEAD_MS);
        this.#remember(moduleDigest);
        writeRun(this.#child.stdin, spec, { moduleDigest, withModule });
        signal?.addEventListener('abort', cancel, { once: true });
        if (signal?.aborted === true) cancel();
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends the process at once; a run in it settles as SANDBOX_DIED, or as its stop, KILLED. */
  kill(): void {
    this.#child.kill('SIGKILL');
    if (this.#child.pid === undefined) this.#lost();
  }

  /** Forgetting costs one more sending, and remembering what the sandbox has dropped one more asking. */
  #remember(moduleDigest: string): void {
    if (this.#sentModules.size >= MAX_REMEMBERED_MODULES) this.#sentModules.clear();
    this.#sentModules.add(moduleDigest);
  }

  #cancel(): void {
    if (this.#running === null || this.#running.stopAsked !== null) return;
    this.#sendCancel();
    this.#stopAsked('CANCELLED');
  }

  #sendCancel(): void {
    writeFrame(this.#child.stdin, { kind: FrameKind.CANCEL, header: {} });
  }

  #stopAsked(end: StopEnd): void {
    if (this.#running === null || this.#running.stopAsked !== null) return;
    this.#running.stopAsked = end;
    this.#killAfter(STOP_ANSWER_MS);
  }

  #killAfter(ms: number): void {
    this.#running?.timers.add(this.#timers.after(ms, () => this.kill()));
  }

  #hear(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#obey(frame);
    } catch (error) {
      this.#stderr += String(error);
      this.kill();
    }
  }

  #obey(frame: Frame): void {
    const running = this.#running;
    if (running === null) return;
    switch (frame.kind) {
      case FrameKind.MODULE_MISSING:
        if (running.wasModuleSent)
          throw new FrameError('A module that was sent is asked for again');
        running.wasModuleSent = true;
        writeRun(this.#child.stdin, running.spec, {
          moduleDigest: running.moduleDigest,
          withModule: true,
        });
        // The thread forgot a cancel together with the run that it could not begin.
        if (running.stopAsked === 'CANCELLED') this.#sendCancel();
        return;
      case FrameKind.DEADLINE_PASSED:
        this.#stopAsked('DEADLINE_EXCEEDED');
        return;
      case FrameKind.STOPPED:
        for (const callOff of running.timers) callOff();
        this.#killAfter(OVERHEAD_MS);
        return;
      case FrameKind.LOGS:
        if (!running.logs.append(frame.body)) {
          throw new FrameError(`A guest logs more than ${running.logs.maxBytes} bytes`);
        }
        running.onLogs?.(frame.body);
        return;
      case FrameKind.PROGRESS:
        running.onProgress?.(readProgress(frame, running.spec));
        return;
      case FrameKind.OUTCOME:
        this.#settle(outcomeAfter(running.logs.take(), readOutcome(frame, running.spec)));
        return;
      default:
        throw new FrameError(`No sandbox sends frames of kind ${frame.kind}`);
    }
  }

  #settle(outcome: GuestOutcome): void {
    const running = this.#running;
    this.#running = null;
    for (const callOff of running?.timers ?? []) callOff();
    running?.settle(outcome);
  }

  #lost(): void {
    this.#isDead = true;
    const stop = this.#running?.stopAsked ?? null;
    const ended =
      stop === null ? endedWithout('NODE_FAULT', 'SANDBOX_DIED') : endedWithout(stop, 'KILLED');
    // What was shown of the logs is all that is left of the run.
    this.#settle({ ...ended, logs: this.#running?.logs.take() ?? ended.logs });
  }
}

/** Throws FrameError where the outcome takes back what was logged before. */
function outcomeAfter(shown: Uint8Array, outcome: GuestOutcome): GuestOutcome {
  const same = Buffer.compare(outcome.logs.subarray(0, shown.byteLength), shown) === 0;
  if (!same) throw new FrameError('An outcome has other logs than were sent before');
  return outcome;
}
