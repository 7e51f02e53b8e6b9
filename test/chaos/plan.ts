// Who is killed when, as it follows from the seed: a pure function.
import { SeededRandom } from '../simulation/random.ts';
import type { ChaosOptions } from './options.ts';

/** One process, or all replicas at once. */
export type Victim =
  | { readonly kind: 'replica'; readonly index: number }
  | { readonly kind: 'agent'; readonly index: number }
  | { readonly kind: 'all-replicas' };

export interface Fault {
  /** Since the load began, in milliseconds. */
  readonly atMs: number;
  readonly victim: Victim;
  /** It is started again so long afterwards. */
  readonly awayMs: number;
}

/** Replicas are half of the victims, however many agents there are: they are what a kill hurts most. */
const REPLICA_SHARE = 0.5;
/** From at once, as a supervisor does, to longer than a lost-period. */
const AWAY_MS = [500, 15_000] as const;
/** The load has begun, and what is killed last is missed before it ends. */
const QUIET_SHARE = { before: 0.05, after: 0.15 } as const;
/** Between the two kills of all replicas. */
const APART_MS = 6_000;
/** All of them are started again at once, as after a power cut. */
const ALL_AWAY_MS = 200;

/** `kills` processes in all, in the order of their times. */
export function planOf(
  options: Pick<ChaosOptions, 'seconds' | 'kills' | 'seed' | 'replicas' | 'agents' | 'mode'>,
): Fault[] {
  const { seconds, kills, seed, replicas, agents, mode } = options;
  const random = SeededRandom.of(seed).fork('chaos');
  const fromMs = seconds * 1_000 * QUIET_SHARE.before;
  const toMs = seconds * 1_000 * (1 - QUIET_SHARE.after);
  const twice = mode === 'all-replicas-twice' ? allTwice((fromMs + toMs) / 2) : [];
  const single = Math.max(0, kills - twice.length * replicas);
  const faults = Array.from({ length: single }, (): Fault => {
    const isReplica = random.chance(REPLICA_SHARE);
    return {
      atMs: random.between(Math.round(fromMs), Math.round(toMs)),
      victim: isReplica
        ? { kind: 'replica', index: random.between(0, replicas - 1) }
        : { kind: 'agent', index: random.between(0, agents - 1) },
      awayMs: random.between(...AWAY_MS),
    };
  });
  return [...faults, ...twice].toSorted((left, right) => left.atMs - right.atMs);
}

function allTwice(aroundMs: number): Fault[] {
  return [0, APART_MS].map((afterMs) => ({
    atMs: Math.round(aroundMs) + afterMs,
    victim: { kind: 'all-replicas' },
    awayMs: ALL_AWAY_MS,
  }));
}
