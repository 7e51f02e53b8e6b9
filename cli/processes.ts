// The programs that `dev` and `demo` are made of, each a real process of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { CommandError } from './failure.ts';

/** A line of JSON that a program prints on stdout. */
export type ProgramEvent = Readonly<Record<string, unknown>> & { readonly event: string };

/** What is kept of a program's stderr, to tell when it fails: the end of it. */
const MAX_KEPT_LOG_BYTES = 16 * 1024;

export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #events: ProgramEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #log = '';

  /** Runs `script` under this Node.js. `onLog` gets its stderr as it comes, `onEvent` what it tells. */
  constructor(
    name: string,
    script: string,
    args: readonly string[],
    options: {
      env?: NodeJS.ProcessEnv;
      onLog?: (text: string) => void;
      onEvent?: (event: ProgramEvent) => void;
    } = {},
  ) {
    this.name = name;
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: options.env ?? process.env,
    });
    this.#child = child;
    this.#exited = once(child, 'close').then(() => this.#wake());
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = eventOf(line);
      if (event === null) return;
      this.#events.push(event);
      options.onEvent?.(event);
      this.#wake();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-MAX_KEPT_LOG_BYTES);
      options.onLog?.(text);
    });
  }

  /** 0 where it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The end of what it wrote to stderr. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /**
   * The first event of this name, or the `count`-th. Stops the program when it does not come: when the signal
   * is aborted.
   * @throws CommandError with the end of its log when it ends before; the signal's reason
   */
  async event(name: string, signal?: AbortSignal, count = 1): Promise<ProgramEvent> {
    const stop = () => void this.stop();
    signal?.addEventListener('abort', stop);
    try {
      return await this.#event(name, count);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #event(name: string, count: number): Promise<ProgramEvent> {
    for (;;) {
      const event = this.#events.filter((candidate) => candidate.event === name)[count - 1];
      if (event !== undefined) return event;
      if (!this.running && this.#child.stdout?.readableEnded) {
        throw new CommandError(
          `starting ${this.name}: it ended (${this.#child.exitCode ?? this.#child.signalCode}) before its '${name}'\n${this.#log}`,
        );
      }
      await new Promise<void>((resolve) => this.#listeners.add(resolve));
    }
  }

  /** Waits for its end; answers its exit code, or null where a signal ended it. */
  async ended(): Promise<number | null> {
    await this.#exited;
    return this.#child.exitCode;
  }

  /** Asks it to end, and waits until it has. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.running) this.#child.kill(signal);
    await this.#exited;
  }

  #wake(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

function eventOf(line: string): ProgramEvent | null {
  if (!line.startsWith('{')) return null;
  const value: unknown = JSON.parse(line);
  return typeof value === 'object' && value !== null && 'event' in value
    ? (value as ProgramEvent)
    : null;
}
