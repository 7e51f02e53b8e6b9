// Clients whose first jobs no free node may take now: they wait for a label, or for another node than those
// they failed on. They must neither hold up others nor be forgotten, however many they are. Pure.
//
// A few of them are looked at with each choice, in turn, and each look at a client goes on behind the one
// before; so a choice costs the same whoever waits, and every job comes up again.

export interface JobPosition {
  readonly jobId: string;
  readonly priority: number;
  readonly submittedMs: number;
}

export interface Cursor extends JobPosition {
  readonly clientId: string;
}

/** What was seen of one client in one choice. */
export interface Look {
  readonly clientId: string;
  /** In the client's order. */
  readonly jobs: readonly JobPosition[];
  /** There were no more. */
  readonly isEnd: boolean;
}

/** So many take part in each choice, beside all that were not passed over. */
const LOOKED_AT_AGAIN = 8;

/** More are not remembered: the oldest take part again, as if nothing had been. */
const MAX_REMEMBERED = 1_000;

export class PassedOver {
  /** Where the next look begins; null at the first job. The longest not looked at comes first. */
  readonly #cursors = new Map<string, Cursor | null>();

  /** Who takes no part in the next choice, and where those begin that do not begin at their first job. */
  next(): { readonly excluded: readonly string[]; readonly cursors: readonly Cursor[] } {
    const remembered = [...this.#cursors];
    return {
      excluded: remembered.slice(LOOKED_AT_AGAIN).map(([clientId]) => clientId),
      cursors: remembered
        .slice(0, LOOKED_AT_AGAIN)
        .flatMap(([, cursor]) => (cursor === null ? [] : [cursor])),
    };
  }

  /**
   * Learns from a choice which of its jobs were placed, and which were not though a slot was free when their
   * turn came.
   */
  learn(
    looks: readonly Look[],
    outcome: {
      readonly placed: ReadonlySet<string>;
      readonly passedOver: ReadonlySet<string>;
    },
  ): void {
    const seen = new Set(looks.map(({ clientId }) => clientId));
    // Its jobs behind the cursor are gone, or it has none at all.
    for (const [clientId] of [...this.#cursors].slice(0, LOOKED_AT_AGAIN)) {
      if (!seen.has(clientId)) this.#cursors.delete(clientId);
    }
    for (const { clientId, jobs, isEnd } of looks) {
      const last = jobs.at(-1);
      this.#cursors.delete(clientId);
      if (last === undefined || jobs.some(({ jobId }) => outcome.placed.has(jobId))) continue;
      if (!jobs.some(({ jobId }) => outcome.passedOver.has(jobId))) continue;
      this.#cursors.set(clientId, isEnd ? null : { clientId, ...last });
    }
    for (const [clientId] of this.#cursors) {
      if (this.#cursors.size <= MAX_REMEMBERED) break;
      this.#cursors.delete(clientId);
    }
  }
}
