// What was checked of a bill, one line each, in the order in which it was checked.

/**
 * `ok`: it holds. `failed`: it does not. `skipped`: it cannot be judged, since something before it failed.
 * `not-replayable`: asked for, but this end cannot be replayed by anybody.
 */
export type CheckStatus = 'ok' | 'failed' | 'skipped' | 'not-replayable';

export interface Check {
  /** A stable name, like `receipt.signature`. */
  readonly name: string;
  readonly status: CheckStatus;
  /** Empty when it holds. */
  readonly reason: string;
}

export class CheckList {
  readonly #checks: Check[] = [];

  get checks(): readonly Check[] {
    return this.#checks;
  }

  /** Every check was made and holds. */
  get allOk(): boolean {
    return this.#checks.every(({ status }) => status === 'ok');
  }

  /** Notes one check by its problem, null meaning none; answers whether it holds. */
  note(name: string, problem: string | null): boolean {
    this.#checks.push({ name, status: problem === null ? 'ok' : 'failed', reason: problem ?? '' });
    return problem === null;
  }

  skip(name: string, reason: string): void {
    this.#checks.push({ name, status: 'skipped', reason });
  }

  notReplayable(name: string, reason: string): void {
    this.#checks.push({ name, status: 'not-replayable', reason });
  }
}
