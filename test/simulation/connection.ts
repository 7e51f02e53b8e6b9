// One HTTP/2 connection of the simulation, from its first call to its cut. Messages of a stream stay in
// order and whole; what a cut swallows nobody knows. Either side notices a silent other side after the
// pings' time, and a dead one at once where the link is up.
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Caller } from '../../server/rpc/service.ts';
import { Call } from './call.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { Replica } from './replica.ts';
import type { Trace } from './trace.ts';
import type { Wiretap } from './wiretap.ts';

/** TCP and TLS together (agent/control-plane/connection.ts). */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A ping after 20 s without an answer for 10 s. */
const SILENCE_MS = 30_000;

export interface Wiring {
  readonly network: Network;
  readonly trace: Trace;
  readonly wiretap: Wiretap;
  /** Who listens at the address now, or null. */
  readonly replicaAt: (address: string) => Replica | null;
}

export class SimulatedConnection {
  readonly client: Process;
  readonly caller: Caller;
  readonly address: string;
  readonly wiring: Wiring;
  /** The process that answered; null before the first call and when nobody did. */
  #replica: Replica | null = null;
  #isOpen = false;
  #isOpenAtReplica = true;
  /** Null while nothing is wrong. */
  #failure: ConnectError | null = null;
  readonly #calls = new Set<Call>();
  #forget: () => void = () => {};

  constructor(
    wiring: Wiring,
    { client, caller, address }: { client: Process; caller: Caller; address: string },
  ) {
    this.wiring = wiring;
    this.client = client;
    this.caller = caller;
    this.address = address;
    client.onEnd(() => this.#clientIsGone());
  }

  /** The replica that the connection leads to; throws before it is open. */
  get replica(): Replica {
    if (this.#replica === null) throw new Error(`calling '${this.address}': it is not connected`);
    return this.#replica;
  }

  /** Whether the replica still takes calls on it. */
  get isOpenAtReplica(): boolean {
    return this.#isOpenAtReplica;
  }

  begin(method: DescMethod, header: Headers): Call {
    const call = new Call(this, method, header);
    this.#calls.add(call);
    if (this.#failure !== null) call.failAtClient(this.#failure);
    else if (!this.#isOpen) this.#open();
    return call;
  }

  ended(call: Call): void {
    this.#calls.delete(call);
  }

  /** Both sides see the connection fail: each after the time that its news takes. */
  cut(why: string): void {
    const { network, trace } = this.wiring;
    trace.note(`${this.client.name} and ${this.address} lose their connection: ${why}`);
    const name = this.client.name;
    this.#failAtClient(Math.min(SILENCE_MS, network.delayMs(this.address, name)), why);
    this.#failAtReplica(Math.min(SILENCE_MS, network.delayMs(name, this.address)));
  }

  /** The client closes it. */
  close(): void {
    this.#failure ??= new ConnectError('the connection was closed', Code.Canceled);
    for (const call of this.#calls) call.failAtClient(this.#failure);
    this.#failAtReplica(
      Math.min(SILENCE_MS, this.wiring.network.delayMs(this.client.name, this.address)),
    );
  }

  #open(): void {
    this.#isOpen = true;
    const { network } = this.wiring;
    const { client, address } = this;
    const downMs = network.downForMs(client.name, address);
    const replica = this.wiring.replicaAt(address);
    if (replica === null || downMs > HANDSHAKE_TIMEOUT_MS) {
      const waitMs = Math.min(HANDSHAKE_TIMEOUT_MS, network.delayMs(client.name, address));
      this.#failAtClient(waitMs, 'nobody answers');
      return;
    }
    this.#replica = replica;
    const onCut = () => {
      if (network.downForMs(client.name, address) <= SILENCE_MS) return;
      this.#failAtClient(SILENCE_MS, 'silence');
      this.#failAtReplica(SILENCE_MS);
    };
    const forgetCut = network.onCut(onCut);
    const forgetReplica = replica.onGone(() => this.cut('the replica is gone'));
    this.#forget = () => {
      forgetCut();
      forgetReplica();
    };
  }

  #clientIsGone(): void {
    this.#failure ??= new ConnectError('the process is gone', Code.Canceled);
    this.#failAtReplica(
      Math.min(SILENCE_MS, this.wiring.network.delayMs(this.client.name, this.address)),
    );
  }

  #failAtClient(delayMs: number, why: string): void {
    this.#forget();
    this.client.timeline.after(delayMs, () =>
      this.client.enter(() => {
        // So a cut connection shows in connect-node, though nobody cancelled.
        this.#failure ??= new ConnectError(
          `the connection failed: ${why}`,
          this.#replica === null ? Code.Unavailable : Code.Canceled,
        );
        for (const call of this.#calls) call.failAtClient(this.#failure);
      }),
    );
  }

  #failAtReplica(delayMs: number): void {
    this.#forget();
    const replica = this.#replica;
    if (replica === null) return;
    const calls = [...this.#calls];
    replica.process.timeline.after(delayMs, () =>
      replica.process.enter(() => {
        this.#isOpenAtReplica = false;
        for (const call of new Set([...calls, ...this.#calls])) call.failAtReplica();
      }),
    );
  }
}
