// Carries a plan out: kills at its times, and starts again what was killed.
import { setTimeout as delay } from 'node:timers/promises';

import type { Fault } from './plan.ts';
import type { ChaosWorld } from './world.ts';

export interface InjectOptions {
  readonly replicas: number;
  readonly agents: number;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

/** Until somebody is there to be killed. */
const NOBODY_MS = 250;

/** Answers how many processes were killed, when all of them have been started again. */
export async function inject(
  world: ChaosWorld,
  faults: readonly Fault[],
  options: InjectOptions,
): Promise<number> {
  const { signal } = options;
  const startMs = Date.now();
  const revivals: Promise<void>[] = [];
  let kills = 0;
  for (const { atMs, victim, awayMs } of faults) {
    await pause(startMs + atMs - Date.now(), signal);
    if (signal.aborted) break;
    switch (victim.kind) {
      case 'all-replicas': {
        const all = Array.from({ length: options.replicas }, (_, index) => index);
        const killed = await Promise.all(all.map((index) => world.killReplica(index)));
        kills += killed.filter(Boolean).length;
        options.progress('killed all replicas');
        revivals.push(...all.map((index) => reviveReplica(index, awayMs)));
        break;
      }
      case 'replica':
      case 'agent':
        await killOne(victim, awayMs);
        break;
      default:
        victim satisfies never;
    }
  }
  await Promise.all(revivals);
  return kills;

  /**
   * Whom the plan names, or the next of its kind; another kind where none is there, and later where there is
   * none at all. The last replica that serves is spared.
   */
  async function killOne(
    { kind, index }: { readonly kind: 'replica' | 'agent'; readonly index: number },
    awayMs: number,
  ): Promise<void> {
    while (!signal.aborted) {
      const replica =
        world.readyCount > 1 ? next(index, options.replicas, (one) => world.isReady(one)) : null;
      const agent = next(index, options.agents, (one) => world.isRunning(one));
      if (replica !== null && (kind === 'replica' || agent === null)) {
        return killReplica(replica, awayMs);
      }
      if (agent !== null) return killAgent(agent, awayMs);
      await pause(NOBODY_MS, signal);
    }
  }

  async function killReplica(index: number, awayMs: number): Promise<void> {
    if (await world.killReplica(index)) kills++;
    options.progress(`killed the replica ${index} for ${awayMs} ms`);
    revivals.push(reviveReplica(index, awayMs));
  }

  async function killAgent(index: number, awayMs: number): Promise<void> {
    if (await world.killAgent(index)) kills++;
    options.progress(`killed the agent ${index} for ${awayMs} ms`);
    revivals.push(pause(awayMs, signal).then(() => world.startAgent(index)));
  }

  async function reviveReplica(index: number, awayMs: number): Promise<void> {
    await pause(awayMs, signal);
    const startedMs = Date.now();
    if (!(await world.startReplica(index))) return;
    options.progress(
      `the replica ${index} serves again, ${Date.now() - startedMs} ms after its start`,
    );
  }
}

/** The first from `wanted` on that is so, or null. */
function next(wanted: number, count: number, isSo: (index: number) => boolean): number | null {
  for (let step = 0; step < count; step++) {
    const index = (wanted + step) % count;
    if (isSo(index)) return index;
  }
  return null;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {});
}
