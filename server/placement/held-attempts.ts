// Which acknowledged attempts each node should be holding, and how often in a row its beats did not name
// them. One beat may have been on its way when the acknowledgement was; two in a row mean that the agent
// lost the attempt, by a restart say, and nobody will ever hand in its receipt.

/** Accepted beats in a row that do not name an attempt. */
const BEATS_WITHOUT_ATTEMPT = 2;

export interface HeldAttempt {
  readonly nodeId: string;
  readonly jobId: string;
  readonly attemptId: string;
}

export class HeldAttempts {
  readonly #byNode = new Map<string, Map<string, { jobId: string; missedBeats: number }>>();

  add({ nodeId, jobId, attemptId }: HeldAttempt): void {
    const held =
      this.#byNode.get(nodeId) ?? new Map<string, { jobId: string; missedBeats: number }>();
    held.set(attemptId, { jobId, missedBeats: 0 });
    this.#byNode.set(nodeId, held);
  }

  remove({ nodeId, attemptId }: Omit<HeldAttempt, 'jobId'>): void {
    const held = this.#byNode.get(nodeId);
    held?.delete(attemptId);
    if (held?.size === 0) this.#byNode.delete(nodeId);
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
