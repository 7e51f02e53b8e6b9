// One `server` process of a local system: it can be killed, and started again where it was.
import { runCommandLine } from './command-line.ts';
import type { Program, ProgramEvent } from './processes.ts';

export interface LocalReplicaOptions {
  /** Its own data folder, or one that it shares with the others. */
  readonly dataDir: string;
  /** 0 picks a free one, and keeps it. */
  readonly port: number;
  /** Where Stripe is simulated. */
  readonly stripe: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly onLog?: ((text: string) => void) | undefined;
}

export class LocalReplica {
  readonly #options: LocalReplicaOptions;
  #program: Program;
  #port: number;

  constructor(options: LocalReplicaOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#program = this.#start();
  }

  /** What runs now, or ran last. */
  get program(): Program {
    return this.#program;
  }

  /** What it says when it serves. Throws as `Program.event` does. */
  async ready(signal?: AbortSignal): Promise<ProgramEvent> {
    const ready = await this.#program.event('ready', signal);
    this.#port = Number(new URL(`https://${String(ready['address'])}`).port);
    return ready;
  }

  /** Starts it again with the address that it had; `ready` tells when it serves. Only once it has ended. */
  restart(): void {
    if (this.#program.running) throw new RangeError('A replica that runs cannot be started again');
    this.#program = this.#start();
  }

  #start(): Program {
    const { dataDir, stripe, args, environment, onLog } = this.#options;
    return runCommandLine('server', {
      args: [
        `--port=${this.#port}`,
        `--data-dir=${dataDir}`,
        '--stripe=simulator',
        `--stripe-simulator-url=${stripe}`,
        '--json',
        ...args,
      ],
      environment,
      ...(onLog && { onLog }),
    });
  }
}
