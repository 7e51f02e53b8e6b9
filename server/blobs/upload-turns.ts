// Two streams never write one upload: the newer one takes over, because the older is most often a
// connection that died without a word. The older ends first.
import { takenOver } from './upload.ts';

/** Passes pieces on until the turn is taken away, and throws UPLOAD_TAKEN_OVER (ABORTED) then. */
type Until = (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

interface Turn {
  readonly end: () => void;
  readonly ended: Promise<void>;
}

export class UploadTurns {
  readonly #turns = new Map<string, Turn>();

  /** Runs `work` as the only one of this key, after the one before it has ended. */
  async take(key: string, work: (until: Until) => Promise<void>): Promise<void> {
    for (let other = this.#turns.get(key); other !== undefined; other = this.#turns.get(key)) {
      other.end();
      await other.ended;
    }
    const taken = Promise.withResolvers<never>();
    const ended = Promise.withResolvers<void>();
    // Whether anyone waits for it or not.
    taken.promise.catch(() => {});
    this.#turns.set(key, { end: () => taken.reject(takenOver()), ended: ended.promise });
    try {
      await work((pieces) => untilTaken(pieces, taken.promise));
    } finally {
      this.#turns.delete(key);
      ended.resolve();
    }
  }
}

async function* untilTaken(
  pieces: AsyncIterable<Uint8Array>,
  taken: Promise<never>,
): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), taken]);
    if (next.done === true) return;
    yield next.value;
  }
}
