// The submissions of one client, those that come while others are under way together. Each locks its client's
// row of the queue, then its balance, until its commit: alone they would wait for each other's commits, each on a
// connection that beats and other clients need.
import { GroupCommit } from '../store/group-commit.ts';

/** A batch is a few statements for each, and its client's rows are locked until it commits. */
const MAX_BATCH = 16;

interface Waiting<Submission> {
  readonly submission: Submission;
  readonly signal: AbortSignal;
}

export class Submissions<Submission extends { readonly clientId: string }, Submitted> {
  readonly #submitAll: (
    submissions: readonly Submission[],
  ) => Promise<readonly PromiseSettledResult<Submitted>[]>;
  /** By client; only those that are at work. */
  readonly #lines = new Map<
    string,
    GroupCommit<Waiting<Submission>, PromiseSettledResult<Submitted>>
  >();

  /** `submitAll` is given submissions of one client, and says in their order what became of each. */
  constructor(
    submitAll: (
      submissions: readonly Submission[],
    ) => Promise<readonly PromiseSettledResult<Submitted>[]>,
  ) {
    this.#submitAll = submitAll;
  }

  /** Throws what became of this submission, or the signal's reason when it is aborted by then. */
  async submit(submission: Submission, signal: AbortSignal): Promise<Submitted> {
    const { clientId } = submission;
    const line =
      this.#lines.get(clientId) ??
      new GroupCommit((batch) => this.#submitWanted(batch), { maxBatch: MAX_BATCH });
    this.#lines.set(clientId, line);
    try {
      const outcome = await line.add({ submission, signal });
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    } finally {
      if (line.isIdle && this.#lines.get(clientId) === line) this.#lines.delete(clientId);
    }
  }

  /** Where nobody waits for the answer any more, what was not begun is not done. */
  async #submitWanted(
    batch: readonly Waiting<Submission>[],
  ): Promise<readonly PromiseSettledResult<Submitted>[]> {
    const wanted = batch.filter(({ signal }) => !signal.aborted);
    const outcomes =
      wanted.length === 0 ? [] : await this.#submitAll(wanted.map(({ submission }) => submission));
    const byPlace = new Map(wanted.map((one, at) => [one, outcomes[at]!]));
    return batch.map(
      (one) => byPlace.get(one) ?? { status: 'rejected', reason: one.signal.reason },
    );
  }
}
