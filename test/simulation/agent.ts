// One life of an agent: the real one, on a folder that outlives it, over a simulated network and sandbox.
import { createClient } from '@connectrpc/connect';
import { runLocked } from '../../agent/agent.ts';
import { addressText } from '../../agent/control-plane/address.ts';
import type { Connection } from '../../agent/control-plane/connection.ts';
import type { AgentEvent } from '../../agent/events.ts';
import { openFolder } from '../../agent/folder.ts';
import { BillStore } from '../../agent/jobs/bill-store.ts';
import { Journal } from '../../agent/jobs/journal.ts';
import { SimulatedConnection, type Wiring } from './connection.ts';
import { SimulatedPool, type GuestHabits } from './guests.ts';
import type { NodeCredentials } from './identities.ts';
import { logInto } from './log.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';
import { transportOver } from './transport.ts';

export interface AgentOptions {
  readonly process: Process;
  readonly random: SeededRandom;
  readonly wiring: Wiring;
  readonly node: NodeCredentials;
  readonly folderPath: string;
  readonly slots: number;
  readonly habits: GuestHabits;
  /** Where it may be killed: before and after each write of its journal. */
  readonly atWrite: (process: Process) => void;
  readonly tell: (event: AgentEvent) => void;
  /** Of what no fault explains. */
  readonly complain: (what: string) => void;
}

/** The guests of an agent that stops may go on for so long. */
const GRACE_MS = 10_000;

export class SimulatedAgent {
  readonly process: Process;
  readonly node: NodeCredentials;
  readonly #stopping = new AbortController();

  /** It runs until it stops, fails or is killed; the process ends with it. */
  constructor(options: AgentOptions) {
    const { process, node, random, wiring, folderPath, slots, habits, tell } = options;
    this.process = process;
    this.node = node;
    const folder = openFolder(folderPath);
    const journal = new KillableJournal(folder.journalFolder, options);
    const bills = new BillStore(folder.billFolder);
    process.onEnd(() => {
      journal.close();
      bills.close();
    });
    runLocked({
      folder,
      addresses: null,
      slots,
      graceMs: GRACE_MS,
      clock: process.clock,
      random: random.fraction,
      randomBytes: random.bytes,
      tell,
      log: logInto(wiring.trace, process.name, options.complain),
      signal: this.#stopping.signal,
      parts: {
        connect: (address): Connection => {
          const connection = new SimulatedConnection(wiring, {
            client: process,
            caller: node.caller,
            address: addressText(address),
          });
          const transport = transportOver(connection);
          return {
            address,
            client: (service) => createClient(service, transport),
            distrust: () => null,
            close: () => connection.close(),
          };
        },
        pool: new SimulatedPool(process, random.fork('guests'), habits),
        journal,
        bills,
      },
    }).then(
      () => process.exit('it has stopped'),
      (error: unknown) => process.exit(`it gave up: ${(error as { reason?: string }).reason}`),
    );
  }

  /** As on SIGTERM. */
  stop(): void {
    this.process.enter(() => this.#stopping.abort());
  }
}

/** On disk, and so the only thing that a process could still change after its kill. */
class KillableJournal extends Journal {
  readonly #options: Pick<AgentOptions, 'process' | 'atWrite'>;
  #isClosed = false;

  constructor(folder: string, options: Pick<AgentOptions, 'process' | 'atWrite'>) {
    super(folder);
    this.#options = options;
  }

  override write(...record: Parameters<Journal['write']>): void {
    this.#unlessKilled(() => super.write(...record));
  }

  override erase(attemptId: string): void {
    this.#unlessKilled(() => super.erase(attemptId));
  }

  override close(): void {
    if (!this.#isClosed) super.close();
    this.#isClosed = true;
  }

  #unlessKilled(write: () => void): void {
    const { process, atWrite } = this.#options;
    atWrite(process);
    if (process.isAlive) write();
    atWrite(process);
  }
}
