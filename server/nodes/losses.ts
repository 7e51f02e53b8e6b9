// Finds the nodes that are lost, and has done what that asks for: on any replica, as often as it takes.

import type { Store } from '../store/store.ts';
import { lockGrace, writeGrace } from './grace-store.ts';
import { judgeSilence, type LivenessTerms, type SilentNode } from './liveness.ts';
import { forgetFutureBeats, readSilence } from './liveness-store.ts';

/** Nodes whose loss is worked on at a time: a fleet that is lost at once takes turns at the database. */
const AT_A_TIME = 16;

/**
 * Judges the whole fleet's silence, on one replica at a time. Answers the nodes that are lost now; they are
 * answered again until they are recorded so. None while another replica judges, or just did. `deafMs` is for
 * how long this replica could accept nobody's beat.
 */
export async function judgeFleet(
  store: Store,
  terms: LivenessTerms,
  deafMs = 0,
): Promise<readonly SilentNode[]> {
  return store.transaction(async (em) => {
    const state = await lockGrace(em);
    if (state === null) return [];
    const { nowMs, grace: before } = state;
    const sinceMs = nowMs - before.observedMs;
    if (sinceMs >= 0 && sinceMs < terms.writtenWithinMs / 2) return [];
    const silence = { ...(await readSilence(em, nowMs)), deafMs };
    const { grace, isSetBack, lose } = judgeSilence(before, silence, terms);
    if (isSetBack) await forgetFutureBeats(em, nowMs);
    await writeGrace(em, grace);
    return lose;
  });
}

/** Nodes that were judged to be lost, until what that asks for is done. */
export class Losses {
  readonly #waiting = new Map<string, SilentNode>();
  readonly #lose: (node: SilentNode) => Promise<void>;
  readonly #onError: (doing: string, cause: unknown) => void;

  constructor(
    lose: (node: SilentNode) => Promise<void>,
    onError: (doing: string, cause: unknown) => void,
  ) {
    this.#lose = lose;
    this.#onError = onError;
  }

  has(nodeId: string): boolean {
    return this.#waiting.has(nodeId);
  }

  add(nodes: readonly SilentNode[]): void {
    for (const node of nodes) this.#waiting.set(node.nodeId, node);
  }

  /** Until none waits. A node whose loss failed is forgotten here: it is judged again. */
  async work(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting.values()].slice(0, AT_A_TIME);
      await Promise.all(batch.map((node) => this.#loseOne(node)));
    }
  }

  async #loseOne(node: SilentNode): Promise<void> {
    try {
      await this.#lose(node);
    } catch (cause) {
      this.#onError(`losing '${node.nodeId}'`, cause);
    } finally {
      this.#waiting.delete(node.nodeId);
    }
  }
}
