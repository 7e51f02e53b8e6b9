// How many connections stand from each address, and how many of them are still in their handshake: one
// address must not take the places of all others, nor the time that handshakes cost (1.5 ms each).
import { addressBlock } from './limits.ts';

export interface AddressLimits {
  readonly maxConnectionsPerAddress: number;
  /** Of those, in their handshake. */
  readonly maxHandshakesPerAddress: number;
}

export const DEFAULT_ADDRESS_LIMITS: AddressLimits = {
  // A third of all connections: many nodes may stand behind one translated address.
  maxConnectionsPerAddress: 4_000,
  // 1.5 s of handshakes: as many agents come back at once when a replica has died.
  maxHandshakesPerAddress: 1_000,
};

/** One connection's place. */
export interface Place {
  /** Its handshake is over. */
  shakenHands(): void;
  /** It is closed. */
  leave(): void;
}

interface Count {
  connections: number;
  handshakes: number;
}

export class AddressCounts {
  readonly #limits: AddressLimits;
  readonly #counts = new Map<string, Count>();

  constructor(limits: AddressLimits) {
    this.#limits = limits;
  }

  /** A place for a new connection in its handshake; null where its address has no more. */
  enter(address: string): Place | null {
    const key = addressBlock(address);
    const count = this.#counts.get(key) ?? { connections: 0, handshakes: 0 };
    if (
      count.connections >= this.#limits.maxConnectionsPerAddress ||
      count.handshakes >= this.#limits.maxHandshakesPerAddress
    ) {
      return null;
    }
    count.connections++;
    count.handshakes++;
    this.#counts.set(key, count);
    let isShaking = true;
    const shakenHands = (): void => {
      if (isShaking) count.handshakes--;
      isShaking = false;
    };
    return {
      shakenHands,
      leave: () => {
        shakenHands();
        count.connections--;
        if (count.connections === 0) this.#counts.delete(key);
      },
    };
  }
}
