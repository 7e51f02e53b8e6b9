// What this machine can give to guests, and what it uses: the edge to the operating system's counters.
import { availableParallelism, totalmem } from 'node:os';

import { MAX_LIMITS, type LimitValues } from '../protocol/bill/limits.ts';
import type { Clock } from './clock.ts';
import { AgentError } from './error.ts';

/** Guests must leave the owner room to work in. */
const GUEST_SHARE_OF_MEMORY = 0.5;
/** As many as a slot offer can name. */
const MAX_SLOTS = 1_024;

/** Cores but one, which is left to the agent and its owner; at least one. */
export function defaultSlots(): number {
  return Math.min(MAX_SLOTS, Math.max(1, availableParallelism() - 1));
}

/** Throws AgentError OPTION_REFUSED unless it is 1 to 1,024. */
export function parseSlots(text: string): number {
  const slots = Number(text);
  if (!Number.isInteger(slots) || slots < 1 || slots > MAX_SLOTS) {
    throw new AgentError(
      'OPTION_REFUSED',
      `reading --slots '${text}': give a whole number from 1 to ${MAX_SLOTS}`,
    );
  }
  return slots;
}

/** The most that one guest gets here: the usual limits, and no more than half of the machine's memory. */
export function mostLimits(): LimitValues {
  const memoryBytes = BigInt(Math.floor(totalmem() * GUEST_SHARE_OF_MEMORY));
  return {
    ...MAX_LIMITS,
    memoryBytes: memoryBytes < MAX_LIMITS.memoryBytes ? memoryBytes : MAX_LIMITS.memoryBytes,
  };
}

export interface ProcessUse {
  readonly residentMemoryBytes: bigint;
  /** Of one core, in thousandths, since the last question. */
  readonly cpuPermille: number;
}

/** Answers what this process used since it was asked last. */
export function processUse(clock: Clock): () => ProcessUse {
  let lastCpu = process.cpuUsage();
  let lastMs = clock.now();
  return () => {
    const cpu = process.cpuUsage();
    const now = clock.now();
    const usedMs = (cpu.user - lastCpu.user + cpu.system - lastCpu.system) / 1_000;
    const cpuPermille = Math.round((usedMs / Math.max(1, now - lastMs)) * 1_000);
    lastCpu = cpu;
    lastMs = now;
    return { residentMemoryBytes: BigInt(process.memoryUsage.rss()), cpuPermille };
  };
}
