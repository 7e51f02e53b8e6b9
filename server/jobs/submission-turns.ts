// Lets each client submit a few jobs at a time. Each submission locks its client's row of the queue: any more
// would wait for it at the database, each on a connection that beats and other clients need.

/** One at work, and others who have said by then what they need no lock for. */
const AT_ONCE = 4;

interface Line {
  running: number;
  /** In the order in which they came; as many as calls are open at most. */
  readonly waiting: (() => void)[];
}

export class SubmissionTurns {
  readonly #lines = new Map<string, Line>();

  /** Does the work when it is this client's turn. Throws the signal's reason when it is aborted by then. */
  async take<T>(clientId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(clientId) ?? { running: 0, waiting: [] };
    this.#lines.set(clientId, line);
    if (line.running < AT_ONCE) line.running++;
    else await new Promise<void>((resolve) => line.waiting.push(resolve));
    try {
      // Nobody waits for the answer any more; what was not begun is not done.
      signal.throwIfAborted();
      return await work();
    } finally {
      const next = line.waiting.shift();
      if (next !== undefined) next();
      else if (--line.running === 0) this.#lines.delete(clientId);
    }
  }
}
