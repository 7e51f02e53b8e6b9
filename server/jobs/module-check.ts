// Modules are checked in a process of their own. A thread would not do: what V8 keeps of a module's types it
// keeps for the whole process and for good, and at its cap it aborts the process, control plane and all.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import { MAX_MODULE_BYTES, type Module } from './module.ts';

type Facts = Pick<Module, 'exportsStart' | 'exportsRun' | 'minMemoryPages'>;

/** What the process answers. */
export type CheckAnswer =
  | { readonly kind: 'accepted'; readonly facts: Facts }
  | { readonly kind: 'refused'; readonly offset: number; readonly cause: string }
  | { readonly kind: 'failed'; readonly cause: string };

/** Ten times what the largest honest module takes on a slow machine; of both tries together. */
const MAX_CHECK_MS = 20_000;

/** V8 aborts at a million types; a module has at most 10,000. */
const MAX_CHECKS_PER_PROCESS = 50;

/** Checks modules in a process of their own, one after another. */
export class ModuleCheck {
  readonly #clock: Clock;
  readonly #start: () => ChildProcess;
  #checker: ChildProcess | null = null;
  #checks = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, start = startChecker) {
    this.#clock = clock;
    this.#start = start;
  }

  /**
   * What the module offers to jobs. Whoever asks waits for those before: see CheckTurns. Throws RpcError
   * MODULE_REFUSED (INVALID_ARGUMENT, metadata `offset` and `cause`).
   */
  async check(bytes: Uint8Array): Promise<Facts> {
    if (bytes.length > MAX_MODULE_BYTES) {
      throw refused(MAX_MODULE_BYTES, `a module has at most ${MAX_MODULE_BYTES} bytes`);
    }
    const turn = this.#last.then(() => this.#ask(bytes));
    this.#last = turn.catch(() => undefined);
    const answer = await turn;
    if (answer.kind === 'accepted') return answer.facts;
    if (answer.kind === 'refused') throw refused(answer.offset, answer.cause);
    throw new Error(`checking a module of ${bytes.length} bytes: ${answer.cause}`);
  }

  async close(): Promise<void> {
    const checker = this.#checker;
    this.#checker = null;
    if (checker === null || checker.pid === undefined) return;
    if (checker.exitCode !== null || checker.signalCode !== null) return;
    checker.kill('SIGKILL');
    await once(checker, 'exit');
  }

  async #ask(bytes: Uint8Array): Promise<CheckAnswer> {
    const late = Promise.withResolvers<Lost>();
    const stopTimer = this.#clock.after(MAX_CHECK_MS, () => late.resolve({ kind: 'late' }));
    try {
      let answer = await this.#tryAt(bytes, late.promise);
      // Killed, perhaps, for what others take of this machine. One that takes too much itself does so again.
      if (answer.kind === 'gone') answer = await this.#tryAt(bytes, late.promise);
      return whatItMeans(answer);
    } finally {
      stopTimer();
    }
  }

  async #tryAt(bytes: Uint8Array, late: Promise<Lost>): Promise<CheckAnswer | Lost> {
    if (this.#checks === MAX_CHECKS_PER_PROCESS) await this.close();
    const checker = this.#checker ?? this.#begin();
    this.#checks++;
    const { promise, resolve } = Promise.withResolvers<CheckAnswer | Lost>();
    const onEnd = () => resolve({ kind: 'gone', hasRun: checker.pid !== undefined });
    // One that could not be started tells by an error alone.
    checker.once('message', resolve).once('exit', onEnd).once('error', onEnd);
    send(checker, bytes, onEnd);
    const answer = await Promise.race([promise, late]);
    checker.off('message', resolve).off('exit', onEnd).off('error', onEnd);
    // What the process is doing is given up with it; the next module gets a new one.
    if (answer.kind === 'late' || answer.kind === 'gone') await this.close();
    return answer;
  }

  #begin(): ChildProcess {
    const checker = this.#start();
    // Without a listener it would end this process.
    checker.on('error', () => {});
    // It does not keep this process alive by itself.
    checker.unref();
    checker.channel?.unref();
    this.#checker = checker;
    this.#checks = 0;
    return checker;
  }
}

/** How a check ends without an answer. */
type Lost =
  | { readonly kind: 'late' }
  /** `hasRun` is false where there never was a process. */
  | { readonly kind: 'gone'; readonly hasRun: boolean };

function whatItMeans(answer: CheckAnswer | Lost): CheckAnswer {
  if (answer.kind === 'late') return refusal(`checking it takes more than ${MAX_CHECK_MS} ms`);
  if (answer.kind !== 'gone') return answer;
  return answer.hasRun
    ? refusal('checking it takes too much memory')
    : { kind: 'failed', cause: 'its process cannot be started' };
}

function refusal(cause: string): CheckAnswer {
  return { kind: 'refused', offset: 0, cause };
}

function send(checker: ChildProcess, bytes: Uint8Array, onFailure: () => void): void {
  try {
    checker.send(bytes, (error) => error !== null && onFailure());
  } catch {
    // A process that could not be started for want of files has no channel, and no method for it.
    onFailure();
  }
}

const ROOT = join(import.meta.dirname, '../..');
const CHECKER = join(import.meta.dirname, 'module-check-process.ts');

/** It may read its own source, and nothing else: no keys, no data, no network, no process. */
const CHECKER_ARGUMENTS = [
  '--permission',
  `--allow-fs-read=${join(ROOT, 'metering')}/`,
  `--allow-fs-read=${import.meta.dirname}/`,
  `--allow-fs-read=${join(ROOT, 'server', 'clock.ts')}`,
  `--allow-fs-read=${join(ROOT, 'package.json')}`,
  '--disallow-code-generation-from-strings',
];

export function startChecker(): ChildProcess {
  return fork(CHECKER, [], {
    env: {},
    execArgv: CHECKER_ARGUMENTS,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

function refused(offset: number, cause: string): RpcError {
  return new RpcError(
    'INVALID_ARGUMENT',
    'MODULE_REFUSED',
    `checking the module: ${cause}, at byte ${offset}`,
    { metadata: { offset: String(offset), cause } },
  );
}
