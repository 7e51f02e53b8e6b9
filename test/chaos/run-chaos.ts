// One chaos run from its start to its verdict.
import { setTimeout as delay } from 'node:timers/promises';

import { Clients } from './clients.ts';
import { inject } from './inject.ts';
import type { Return } from './links.ts';
import type { ChaosOptions } from './options.ts';
import { paidAttemptsIn } from './paid-attempts.ts';
import { planOf } from './plan.ts';
import { BooksReader, judge, type Verdict } from './verdict.ts';
import { ChaosWorld } from './world.ts';

export interface ChaosReport {
  /** Jobs whose submission was answered. */
  readonly acknowledged: number;
  readonly ended: number;
  readonly lost: number;
  readonly paidTwice: number;
  readonly kills: number;
  /** The longest that an agent was without a replica after its own died; 0 where none did. */
  readonly slowestReturnMs: number;
  /** The same after all replicas died, since the first one was ready again. */
  readonly slowestReturnAfterAllDiedMs: number;
  readonly medianReturnMs: number;
  /** Times that an agent came back from a replica that died. */
  readonly returns: number;
  /** Ended, and not SUCCEEDED. */
  readonly notSucceeded: number;
  readonly attempts: number;
  /** Calls of clients that had to be repeated. */
  readonly retries: number;
  readonly watchedToEnd: number;
  /** What is wrong besides; empty in a run that is to be believed. */
  readonly problems: readonly string[];
}

export interface RunOptions extends ChaosOptions {
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Acknowledged jobs that have not ended so long after the last fault and the last submission are lost. */
const MOST_SETTLE_MS = 180_000;
const POLL_MS = 500;
const PROGRESS_MS = 10_000;

/** Throws the signal's reason where it is aborted; what was started is gone then, too. */
export async function runChaos(options: RunOptions): Promise<ChaosReport> {
  const world = new ChaosWorld();
  let keep = true;
  try {
    const report = await runIn(world, options);
    keep = options.keep || report.lost + report.paidTwice + report.problems.length > 0;
    return report;
  } catch (error) {
    // An interrupted run has nothing to show.
    keep = !options.signal.aborted;
    throw options.signal.aborted ? options.signal.reason : error;
  } finally {
    await world.dispose({ keep });
    if (keep) options.progress(`logs and folders are kept in ${world.folder}`);
  }
}

async function runIn(world: ChaosWorld, options: RunOptions): Promise<ChaosReport> {
  const { seconds, rate, replicas, agents, signal, progress } = options;
  progress(`starting ${replicas} replicas and ${agents} agents`);
  await world.start(options, signal);
  const stop = new AbortController();
  const clients = new Clients(await world.connectClient(), AbortSignal.any([signal, stop.signal]));
  await clients.prepare();
  const books = await BooksReader.open(world.databaseUrl);
  try {
    progress(`submitting ${rate} jobs a second for ${seconds} s`);
    const stopTelling = tellProgress(clients, world, progress);
    const submitted = clients.submitFor(seconds, rate);
    const kills = await inject(world, planOf(options), { replicas, agents, signal, progress });
    signal.throwIfAborted();
    progress('no more faults; waiting for every job to end');
    await Promise.race([submitted, delay(seconds * 1_000 + MOST_SETTLE_MS, undefined, { signal })]);
    const openJobs = await allEnded(books, signal);
    if (openJobs > 0) progress(`${openJobs} jobs have not ended`);
    stopTelling();
    stop.abort(new Error('The run is over'));
    await world.stopAgents();
    const verdict = judge(
      clients.acknowledged.map(({ jobId }) => jobId),
      await books.books(),
      paidAttemptsIn(world.agentFolders),
    );
    return reportOf(verdict, { clients, world, kills });
  } finally {
    await books.close();
  }
}

/** Waits until no job is open; answers how many still are when the time is over. */
async function allEnded(books: BooksReader, signal: AbortSignal): Promise<number> {
  const untilMs = Date.now() + MOST_SETTLE_MS;
  for (;;) {
    const openJobs = await books.openJobs();
    if (openJobs === 0 || Date.now() > untilMs) return openJobs;
    await delay(POLL_MS, undefined, { signal });
  }
}

function tellProgress(
  clients: Clients,
  world: ChaosWorld,
  progress: (text: string) => void,
): () => void {
  const timer = setInterval(() => {
    progress(
      `${clients.acknowledged.length} acknowledged, ${clients.retries} calls repeated, ${world.readyCount} replicas ready, ${world.links.awayCount} agents on their way`,
    );
  }, PROGRESS_MS);
  return () => clearInterval(timer);
}

function reportOf(
  verdict: Verdict,
  {
    clients,
    world,
    kills,
  }: { readonly clients: Clients; readonly world: ChaosWorld; readonly kills: number },
): ChaosReport {
  const { returns, awayCount } = world.links;
  const never = awayCount === 0 ? [] : [`${awayCount} agents never came back`];
  return {
    acknowledged: clients.acknowledged.length,
    ended: verdict.ended,
    lost: verdict.lost.length,
    paidTwice: verdict.paidTwice.length,
    kills,
    slowestReturnMs: slowest(returns),
    slowestReturnAfterAllDiedMs: slowest(returns.filter(({ afterAllDied }) => afterAllDied)),
    medianReturnMs: median(returns),
    returns: returns.length,
    notSucceeded: verdict.notSucceeded.length,
    attempts: verdict.tried.attempts,
    retries: clients.retries,
    watchedToEnd: clients.watchedToEnd,
    problems: [
      ...verdict.lost.map((jobId) => `lost: ${jobId}`),
      ...verdict.paidTwice.map((jobId) => `paid twice: ${jobId}`),
      ...verdict.problems,
      ...clients.problems,
      ...world.problems,
      ...never,
    ].slice(0, MOST_PROBLEMS),
  };
}

/** More of the same say nothing new. */
const MOST_PROBLEMS = 20;

function median(returns: readonly Return[]): number {
  const sorted = returns.map(({ ms }) => ms).toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function slowest(returns: readonly Return[]): number {
  return Math.max(0, ...returns.map(({ ms }) => ms));
}
