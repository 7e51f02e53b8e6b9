// What a chaos run is asked for, each with its bounds.
import { parseArgs } from 'node:util';

/** `all-replicas-twice`: besides the random kills, all replicas at once, and all again six seconds later. */
export const MODES = ['random', 'all-replicas-twice'] as const;

export interface ChaosOptions {
  /** How long clients submit and faults happen; what has to end afterwards comes on top. */
  readonly seconds: number;
  readonly kills: number;
  /** Of the victims and their times. */
  readonly seed: number;
  /** Jobs a second, over all clients. */
  readonly rate: number;
  readonly replicas: number;
  readonly agents: number;
  readonly mode: (typeof MODES)[number];
  /** Keep logs and folders also of a run in which nothing was wrong. */
  readonly keep: boolean;
  readonly json: boolean;
}

/** Each an agent's process and its sandboxes: some 250 MB. */
const MAX_AGENTS = 50;
const MAX_REPLICAS = 9;
const MAX_SECONDS = 3_600;
const MAX_KILLS = 1_000;
/** Above it, the one process that all clients live in is what is measured. */
const MAX_RATE = 200;

/** Throws an Error that says which option is wrong, and what it may be. */
export function parseOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '300' },
      kills: { type: 'string', default: '20' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '20' },
      replicas: { type: 'string', default: '3' },
      agents: { type: 'string', default: '10' },
      mode: { type: 'string', default: 'random' },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const mode = MODES.find((one) => one === values.mode);
  if (mode === undefined) throw refused('mode', values.mode, MODES.join(' or '));
  return {
    seconds: number(values.seconds, 'seconds', [5, MAX_SECONDS]),
    kills: number(values.kills, 'kills', [0, MAX_KILLS]),
    seed: number(values.seed, 'seed', [0, Number.MAX_SAFE_INTEGER]),
    rate: number(values.rate, 'rate', [1, MAX_RATE]),
    replicas: number(values.replicas, 'replicas', [1, MAX_REPLICAS]),
    agents: number(values.agents, 'agents', [1, MAX_AGENTS]),
    mode,
    keep: values.keep,
    json: values.json,
  };
}

function number(text: string, name: string, [least, most]: readonly [number, number]): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw refused(name, text, `a whole number from ${least} to ${most}`);
}

function refused(name: string, value: string, allowed: string): Error {
  return new Error(`reading --${name} '${value}': give ${allowed}`);
}
