import { START_MS, type Identities } from './identities.ts';
import type { Database } from './database.ts';
import { checkBeats } from './checks/beats.ts';
import { checkBills, checkHanders, checkPaid } from './checks/bills.ts';
import { checkErased } from './checks/bytes.ts';
import { checkAttempts, checkExpired, checkJobs, checkLives, checkLosses } from './checks/jobs.ts';
import { checkMoney } from './checks/money.ts';
import { checkQueues } from './checks/queues.ts';
import { readRows } from './checks/rows.ts';
import { CONFIG } from './replica.ts';
import { CREDIT_MICROCENTS, World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  /** Empty when every promise was kept. */
  readonly violations: readonly string[];
  /** Acknowledged to clients. */
  readonly jobs: number;
  readonly kills: number;
  readonly virtualMs: number;
  readonly realMs: number;
  /** Of all that happened, in hex: the same for the same seed and code. */
  readonly digest: string;
}

/** Every promise that was broken. */
async function violationsOf(world: World): Promise<readonly string[]> {
  const { clients, beats, nonces, identities, database, timeline, wire } = world;
  const rows = await database.at(timeline.nowMs, () => database.store.read(readRows));
  const clientIds = clients.map(({ clientId }) => clientId);
  return [
    ...world.complaints,
    ...world.bus.complaints,
    ...checkJobs(clients, rows),
    ...checkLives(rows),
    ...checkAttempts(rows),
    ...(world.mayHang ? [] : checkExpired(rows)),
    ...(world.isDatabaseClockSound
      ? checkLosses(rows, beats, CONFIG.heartbeat.lostAfterIntervals)
      : []),
    ...checkPaid(rows),
    ...checkHanders(rows, wire.answeredCompletes),
    ...checkErased(clients, rows),
    ...checkQueues(rows),
    ...checkMoney(rows, CREDIT_MICROCENTS, clientIds),
    ...(await checkBills(clients, identities.root)),
    ...checkBeats(beats, nonces),
  ];
}

export async function runSeed(
  seed: number,
  parts: {
    readonly database: Database;
    readonly identities: Identities;
    readonly print: ((line: string) => void) | null;
    /** Takes what no promise's owner handled; for who listens to that. */
    readonly unhandled?: string[];
  },
): Promise<Outcome> {
  const startedMs = performance.now();
  const world = new World(seed, parts);
  try {
    await world.run();
    const violations = [...(await violationsOf(world)), ...(parts.unhandled?.splice(0) ?? [])];
    return {
      seed,
      violations,
      jobs: world.clients.flatMap(({ jobs }) => jobs).filter(({ jobId }) => jobId !== null).length,
      kills: world.kills,
      virtualMs: world.timeline.nowMs - START_MS,
      realMs: performance.now() - startedMs,
      digest: world.trace.digest(),
    };
  } finally {
    await world.close();
  }
}
