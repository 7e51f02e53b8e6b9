// Refused beats in the audit log: the first of a node and minute at once, so that it is never lost; how
// many followed stands in the node's next entry. A hostile node cannot fill the log.

const MINUTE_MS = 60_000;

export interface RefusalEntry {
  readonly nodeId: string;
  readonly reason: string;
  /** Refusals of this node since its last entry that have none of their own. */
  readonly unlisted: number;
}

export class RefusalAudit {
  /** The minute of a node's last entry; null where that could not be written. */
  readonly #seen = new Map<string, { minute: number | null; unlisted: number }>();

  /** The entry to write for this refusal, or null where the minute has one. */
  note(nodeId: string, reason: string, nowMs: number): RefusalEntry | null {
    const minute = Math.floor(nowMs / MINUTE_MS);
    const seen = this.#seen.get(nodeId);
    if (seen?.minute === minute) {
      seen.unlisted++;
      return null;
    }
    this.#seen.set(nodeId, { minute, unlisted: 0 });
    return { nodeId, reason, unlisted: seen?.unlisted ?? 0 };
  }

  /** The entry could not be written: the node's next refusal has one at once, and counts what this one told. */
  unnote({ nodeId, unlisted }: RefusalEntry): void {
    const since = this.#seen.get(nodeId)?.unlisted ?? 0;
    this.#seen.set(nodeId, { minute: null, unlisted: since + unlisted + 1 });
  }
}
