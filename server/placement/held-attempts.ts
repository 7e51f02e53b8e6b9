// Which acknowledged attempts each node should be holding, and how often in a row its beats did not name
// them. One beat may have been on its way when the acknowledgement was; two in a row mean that the agent
// lost the attempt, by a restart say, and nobody will ever hand in its receipt.
//
// Acknowledgements and receipts may come to one replica and beats to another: what stands here is read
// again from the database now and then, and whatever is concluded from it is judged there.

/** Accepted beats in a row that do not name an attempt. */
const BEATS_WITHOUT_ATTEMPT = 2;

export interface HeldAttempt {
  readonly nodeId: string;
  readonly jobId: string;
  readonly attemptId: string;
}

interface Entry {
  readonly jobId: string;
  missedBeats: number;
}

export class HeldAttempts {
  #byNode = new Map<string, Map<string, Entry>>();

  add({ nodeId, jobId, attemptId }: HeldAttempt): void {
    const held = this.#byNode.get(nodeId) ?? new Map<string, Entry>();
    held.set(attemptId, { jobId, missedBeats: 0 });
    this.#byNode.set(nodeId, held);
  }

  remove({ nodeId, attemptId }: Omit<HeldAttempt, 'jobId'>): void {
    const held = this.#byNode.get(nodeId);
    held?.delete(attemptId);
    if (held?.size === 0) this.#byNode.delete(nodeId);
  }

  of(nodeId: string): readonly string[] {
    return [...(this.#byNode.get(nodeId)?.keys() ?? [])];
  }

  /** Those that are held here and are not among these. */
  besides(attempts: readonly HeldAttempt[]): readonly HeldAttempt[] {
    const known = new Set(attempts.map(({ attemptId }) => attemptId));
    return [...this.#byNode].flatMap(([nodeId, held]) =>
      [...held].flatMap(([attemptId, { jobId }]) =>
        known.has(attemptId) ? [] : [{ nodeId, jobId, attemptId }],
      ),
    );
  }

  /** These are all, as the database has them. What was missed of those that were known stays counted. */
  replace(attempts: readonly HeldAttempt[]): void {
    const before = this.#byNode;
    this.#byNode = new Map();
    for (const attempt of attempts) {
      this.add(attempt);
      const known = before.get(attempt.nodeId)?.get(attempt.attemptId);
      if (known !== undefined) this.#byNode.get(attempt.nodeId)!.set(attempt.attemptId, known);
    }
  }

  /** The node was heard elsewhere, or may have been: what its beats did not name counts anew. */
  startAnew(nodeId: string): void {
    for (const entry of this.#byNode.get(nodeId)?.values() ?? []) entry.missedBeats = 0;
  }

  /** An accepted beat names these. Answers the attempts that are missing for the second time in a row. */
  beat(nodeId: string, attemptIds: readonly string[]): readonly HeldAttempt[] {
    const held = this.#byNode.get(nodeId);
    if (held === undefined) return [];
    const named = new Set(attemptIds);
    const lost: HeldAttempt[] = [];
    for (const [attemptId, entry] of held) {
      entry.missedBeats = named.has(attemptId) ? 0 : entry.missedBeats + 1;
      if (entry.missedBeats >= BEATS_WITHOUT_ATTEMPT) {
        lost.push({ nodeId, jobId: entry.jobId, attemptId });
      }
    }
    return lost;
  }
}
