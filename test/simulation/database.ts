// The one database of all simulations of this process: real SQL in PGlite, emptied before each seed, its
// clock the virtual one.
import type { PGlite } from '@electric-sql/pglite';
import type { PgliteDriver } from '@mikro-orm/pglite';
import { systemClock } from '../../server/clock.ts';
import { openStore, type OpenStore } from '../../server/store/open.ts';
import { START_MS } from './identities.ts';
import { storeTemplate } from '../fakes/store-template.ts';

const realNow = Date.now;
let atWork = 0;

/** PGlite lives in this process, and asks it for the time. */
async function withClockAt<Result>(nowMs: number, work: () => Promise<Result>): Promise<Result> {
  atWork++;
  Date.now = () => nowMs;
  try {
    return await work();
  } finally {
    if (--atWork === 0) Date.now = realNow;
  }
}

export class Database {
  readonly store: OpenStore;
  /** Its wall time minus virtual time. */
  wallOffsetMs = 0;
  readonly #pglite: Pick<PGlite, 'exec'>;
  readonly #tables: readonly string[];

  private constructor(store: OpenStore, pglite: Pick<PGlite, 'exec'>, tables: readonly string[]) {
    this.store = store;
    this.#pglite = pglite;
    this.#tables = tables;
  }

  static async open(): Promise<Database> {
    const template = await storeTemplate();
    return withClockAt(START_MS, () => Database.#open(template));
  }

  static async #open(template: Blob): Promise<Database> {
    const options = { clock: systemClock, exclusive: true, template };
    const store = await openStore({ kind: 'memory' }, options);
    const driver = store.orm.em.getDriver() as unknown as PgliteDriver;
    const pglite = await driver.getConnection().getNativeClient();
    await pglite.exec(HISTORY);
    const [listed] = (await pglite.exec(
      `select format('%I', tablename) as name from pg_tables
        where schemaname = 'public' and tablename <> 'migration'`,
    )) as unknown as { rows: { name: string }[] }[];
    const names = (listed?.rows ?? []).map(({ name }) => name);
    // What migrations put in is there again at each beginning.
    const kept = names.map((name) => `create table simulated_first.${name} as table ${name}`);
    await pglite.exec(['create schema simulated_first', ...kept].join(';'));
    return new Database(store, pglite, names);
  }

  /** Empties every table. What is posted stays, says a trigger of the ledger: it does not fire here. */
  async clear(): Promise<void> {
    const tables = this.#tables;
    const statements = [
      'set session_replication_role = replica',
      `truncate ${tables.join(', ')} restart identity`,
      ...tables.map(
        (name) => `insert into ${name} overriding system value table simulated_first.${name}`,
      ),
      'set session_replication_role = origin',
    ];
    await this.at(START_MS, () => this.#pglite.exec(statements.join(';')));
  }

  /**
   * Runs `work` with all clocks of SQL standing at `nowMs`. Several at once have to be at the same time, as
   * they are between two steps of a timeline.
   */
  at<Result>(nowMs: number, work: () => Promise<Result>): Promise<Result> {
    return withClockAt(nowMs, work);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** Every state that a job and an attempt ever had, whoever wrote it: what the checks judge by. */
const HISTORY = `
  create table simulated_history (
    step bigint generated always as identity primary key,
    what text not null, id text not null, was text, became text not null, detail text,
    at_ms bigint not null default gap_junction_now_ms());
  create function simulated_note_job() returns trigger language plpgsql as $$
    begin
      insert into simulated_history (what, id, was, became, detail)
        values ('job', new.job_id, case when tg_op = 'UPDATE' then old.state end, new.state,
          new.revision::text);
      return null;
    end $$;
  create trigger simulated_job after insert or update of state, revision on job
    for each row execute function simulated_note_job();
  create function simulated_note_attempt() returns trigger language plpgsql as $$
    begin
      insert into simulated_history (what, id, was, became, detail)
        values ('attempt', new.attempt_id, case when tg_op = 'UPDATE' then old.state end, new.state,
          new.failure);
      return null;
    end $$;
  create trigger simulated_attempt after insert or update of state on attempt
    for each row execute function simulated_note_attempt()`;
