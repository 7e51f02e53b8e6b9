// Where a guest is stopped: the defaults, and what a job may ask for at most. Both can be configured; the
// values here hold where nothing else is said.

import type { Limits } from '#gen/gapjunction/job/v1/bill_pb';

/** The fields of the contract's Limits; its messages fit. */
export type LimitValues = Readonly<
  Pick<Limits, 'fuel' | 'deadlineEpochs' | 'memoryBytes' | 'outputBytes' | 'logBytes'>
>;

const KIB = 1_024n;
const MIB = 1_024n * KIB;

/** What a field that is 0 or left out means. */
export const DEFAULT_LIMITS: LimitValues = {
  fuel: 10_000_000_000n,
  deadlineEpochs: 3_000,
  memoryBytes: 256n * MIB,
  outputBytes: MIB,
  logBytes: 256n * KIB,
};

/** The most that a job may ask for. */
export const MAX_LIMITS: LimitValues = {
  // A hundred times the default: some 15 minutes of a fast machine.
  fuel: 1_000_000_000_000n,
  // Ten minutes of 10 ms ticks: no node is bound to one job for longer.
  deadlineEpochs: 60_000,
  // A quarter of what 32-bit Wasm can address; a small machine still runs one.
  memoryBytes: KIB * MIB,
  // An uploaded output is as large as an uploaded input.
  outputBytes: 64n * MIB,
  // Logs are for a person to read; results have their own channel.
  logBytes: MIB,
};

/** Wasm's page: no memory is smaller. */
const LEAST_MEMORY_BYTES = 64n * KIB;

const FIELDS = [
  ['fuel', 'fuel'],
  ['deadlineEpochs', 'deadline_epochs'],
  ['memoryBytes', 'memory_bytes'],
  ['outputBytes', 'output_bytes'],
  ['logBytes', 'log_bytes'],
] as const;

export interface LimitViolation {
  /** The field's name in the contract. */
  readonly field: string;
  readonly description: string;
}

export type LimitVerdict =
  | { readonly ok: true; readonly limits: LimitValues }
  /** At least one. */
  | { readonly ok: false; readonly violations: readonly LimitViolation[] };

/** The limits of a job: what was asked for, and the default in each field that is 0 or left out. */
export function fillLimits(
  asked: Partial<LimitValues>,
  {
    defaults = DEFAULT_LIMITS,
    most = MAX_LIMITS,
  }: { readonly defaults?: LimitValues; readonly most?: LimitValues } = {},
): LimitVerdict {
  const limits: LimitValues = {
    fuel: asked.fuel || defaults.fuel,
    deadlineEpochs: asked.deadlineEpochs || defaults.deadlineEpochs,
    memoryBytes: asked.memoryBytes || defaults.memoryBytes,
    outputBytes: asked.outputBytes || defaults.outputBytes,
    logBytes: asked.logBytes || defaults.logBytes,
  };
  const violations: LimitViolation[] = [];
  for (const [name, field] of FIELDS) {
    if (limits[name] > most[name]) {
      violations.push({ field, description: `${limits[name]} is more than ${most[name]}` });
    } else if (limits[name] < 0) {
      violations.push({ field, description: `${limits[name]} is negative` });
    }
  }
  if (limits.memoryBytes < LEAST_MEMORY_BYTES) {
    violations.push({
      field: 'memory_bytes',
      description: `${limits.memoryBytes} is less than one page of ${LEAST_MEMORY_BYTES}`,
    });
  }
  return violations.length === 0 ? { ok: true, limits } : { ok: false, violations };
}
