// The nonce store that all replicas share, as over Redis: behind a link of its own, and forgetful when it
// is restarted without its data. Remembers for the checks what was ever claimed.
import {
  memoryNonceStore,
  NonceStoreUnavailable,
  type NonceStore,
} from '../../server/nodes/nonce-store.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

const REDIS = 'redis';
/** The client's own (docs: command timeout). */
const TIMEOUT_MS = 500;

export class SharedNonces {
  /** `node id:nonce in base64`. */
  readonly claimed = new Set<string>();
  readonly #network: Network;
  readonly #timeline: Timeline;
  #store: NonceStore;

  constructor({ network, timeline }: { network: Network; timeline: Timeline }) {
    this.#network = network;
    this.#timeline = timeline;
    this.#store = this.#newStore();
  }

  /** Redis is restarted, and has lost its data. */
  forget(): void {
    this.#store = this.#newStore();
  }

  asSeenBy(process: Process): NonceStore {
    const now = () => process.clock.now();
    let silentSinceMs: number | null = null;
    return {
      unavailableForMs: () => (silentSinceMs === null ? 0 : now() - silentSinceMs),
      claim: (nodeId, nonce) =>
        new Promise((resolve, reject) => {
          const { timeline } = process;
          const delayMs = this.#network.delayMs(process.name, REDIS);
          if (delayMs > TIMEOUT_MS) {
            const unavailable = new NonceStoreUnavailable('claiming a nonce: no answer in time');
            silentSinceMs ??= now();
            timeline.after(TIMEOUT_MS, () => process.enter(() => reject(unavailable)));
            return;
          }
          silentSinceMs = null;
          timeline.after(delayMs, () => {
            void this.#answer(process, this.#claim(nodeId, nonce), resolve);
          });
        }),
      close: () => Promise.resolve(),
    };
  }

  async #answer(
    process: Process,
    claim: Promise<boolean>,
    resolve: (isNew: boolean) => void,
  ): Promise<void> {
    const isNew = await claim;
    process.enter(() => resolve(isNew));
  }

  async #claim(nodeId: string, nonce: Uint8Array): Promise<boolean> {
    const isNew = await this.#store.claim(nodeId, nonce);
    if (isNew) this.claimed.add(`${nodeId}:${Buffer.from(nonce).toString('base64')}`);
    return isNew;
  }

  #newStore(): NonceStore {
    return memoryNonceStore({ clock: { now: () => this.#timeline.nowMs } });
  }
}
