// Connections besides the one that a session lives on: those who wait for one, and those to replicas that
// stop.
import type { Clock } from '../clock.ts';
import type { Connection } from './connection.ts';

/** Whoever needs a connection while none is up. */
export class Waiters {
  readonly #waiting = new Set<(connection: Connection) => void>();

  /** The next connection that is up. Rejects with the signal's reason when it is aborted. */
  next(signal: AbortSignal): Promise<Connection> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const give = (connection: Connection): void => {
        this.#waiting.delete(give);
        signal.removeEventListener('abort', stop);
        resolve(connection);
      };
      const stop = (): void => {
        this.#waiting.delete(give);
        reject(signal.reason as Error);
      };
      this.#waiting.add(give);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  give(connection: Connection): void {
    for (const give of this.#waiting) give(connection);
  }
}

/** A replica that stops gives running calls 5 s. */
const LEAVING_MS = 10_000;

/** Connections on which running calls, above all the handing in of receipts, may finish. */
export class Leaving {
  readonly #clock: Clock;
  /** Calls off the closing of each. */
  readonly #callOffs = new Map<Connection, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  closeSoon(connection: Connection): void {
    const callOff = this.#clock.after(LEAVING_MS, () => this.#close(connection));
    this.#callOffs.set(connection, callOff);
  }

  closeAll(): void {
    for (const connection of this.#callOffs.keys()) this.#close(connection);
  }

  #close(connection: Connection): void {
    this.#callOffs.get(connection)?.();
    this.#callOffs.delete(connection);
    connection.close();
  }
}
