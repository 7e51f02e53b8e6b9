// What a client asks for becomes the terms of a job. Pure.
import { Entry, Grant, type Price } from '#gen/gapjunction/job/v1/bill_pb';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import type { JobSpec } from '#gen/gapjunction/job/v1/job_pb';
import { lengthPrefixed, utf8 } from '../../protocol/bytes.ts';
import { fillLimits, type LimitValues } from '../../protocol/bill/limits.ts';
import { digest, digestOf } from '../../protocol/bill/digest.ts';
import { chargeMicrocents, holdMicrocents, type PriceRates } from '../../protocol/bill/price.ts';
import { RpcError } from '../rpc/error.ts';
import { PAGE_BYTES, type Module } from './module.ts';
import type { EntryName, JobLimits, JobTerms } from './job-record.ts';

export type SpecInput =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array; readonly digest: Uint8Array }
  | { readonly kind: 'blob'; readonly digest: Uint8Array };

/** An input left out is an empty one. */
export function inputOf({ input }: JobSpec): SpecInput {
  if (input.case === 'inputDigest') return { kind: 'blob', digest: input.value };
  const bytes = input.case === 'inlineInput' ? input.value : new Uint8Array();
  return { kind: 'inline', bytes, digest: digest(bytes) };
}

export interface LimitBounds {
  readonly defaults: LimitValues;
  readonly most: LimitValues;
}

/** Throws RpcError LIMIT_EXCEEDED with a violation for each field that is beyond its bound. */
export function limitsOf({ limits }: JobSpec, module: Module, bounds: LimitBounds): JobLimits {
  const verdict = fillLimits(limits ?? {}, bounds);
  const violations = verdict.ok ? [] : verdict.violations;
  const needed = BigInt(module.minMemoryPages) * PAGE_BYTES;
  if (verdict.ok && verdict.limits.memoryBytes >= needed) return verdict.limits;
  throw new RpcError(
    'INVALID_ARGUMENT',
    'LIMIT_EXCEEDED',
    'checking the limits of the job: some are beyond what is allowed; see the field violations',
    {
      fieldViolations:
        violations.length > 0
          ? violations.map(({ field, description }) => ({
              field: `spec.limits.${field}`,
              description,
            }))
          : [
              {
                field: 'spec.limits.memory_bytes',
                description: `the module's memory starts at ${needed} bytes`,
              },
            ],
    },
  );
}

/** The entry asked for, or the module's own. Throws RpcError ENTRY_MISSING. */
export function entryOf({ entry }: JobSpec, module: Module): EntryName {
  if (entry === Entry.START || (entry === Entry.UNSPECIFIED && module.exportsStart)) {
    if (module.exportsStart) return 'START';
    throw entryMissing("it exports no function '_start' without parameters and results");
  }
  if (module.exportsRun) return 'RUN';
  throw entryMissing(
    entry === Entry.RUN
      ? "it exports no function 'run' without parameters and results"
      : "it exports neither '_start' nor 'run' as a function without parameters and results",
  );
}

function entryMissing(why: string): RpcError {
  return new RpcError('INVALID_ARGUMENT', 'ENTRY_MISSING', `choosing the module's entry: ${why}`);
}

export function grantsOf({ grants }: JobSpec): { stdoutAsResult: boolean; debugLogs: boolean } {
  return {
    stdoutAsResult: grants.includes(Grant.STDOUT_AS_RESULT),
    debugLogs: grants.includes(Grant.DEBUG_LOGS),
  };
}

/** A job that waits for longer finds no node any more that its client still counts on. */
export const DEFAULT_QUEUE_TIMEOUT_MS = 3_600_000;

/** Which nodes may run it, when, and for how long. What is 0 or left out takes its default. */
export function placementTermsOf({
  priority,
  constraints,
  queueTimeoutMs,
  totalTimeoutMs,
}: JobSpec): Pick<JobTerms, 'priority' | 'constraints' | 'queueTimeoutMs' | 'totalTimeoutMs'> {
  return {
    priority,
    constraints: {
      labels: constraints?.labels ?? {},
      isolationLevel: constraints?.isolationLevel ?? IsolationLevel.UNSPECIFIED,
    },
    queueTimeoutMs: queueTimeoutMs === 0n ? DEFAULT_QUEUE_TIMEOUT_MS : Number(queueTimeoutMs),
    totalTimeoutMs: totalTimeoutMs === 0n ? null : Number(totalTimeoutMs),
  };
}

/**
 * Names what was asked for: the same for every way to say the same (inline or uploaded input, grants in
 * any order, a limit of 0 or left out), so that only another job counts as another body. Defaults are not
 * filled in: a retry after they were changed is still a retry.
 */
export function bodyDigest(spec: JobSpec, inputDigest: Uint8Array): Uint8Array {
  const { stdoutAsResult, debugLogs } = grantsOf(spec);
  const { limits } = spec;
  const numbers = [
    spec.entry,
    Number(stdoutAsResult),
    Number(debugLogs),
    limits?.fuel ?? 0,
    limits?.deadlineEpochs ?? 0,
    limits?.memoryBytes ?? 0,
    limits?.outputBytes ?? 0,
    limits?.logBytes ?? 0,
    spec.priority,
    spec.constraints?.isolationLevel ?? IsolationLevel.UNSPECIFIED,
    spec.queueTimeoutMs,
    spec.totalTimeoutMs,
  ];
  const labels = Object.entries(spec.constraints?.labels ?? {}).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return digestOf(
    utf8('gap-junction/job-body/v2\n'),
    lengthPrefixed(spec.moduleDigest),
    lengthPrefixed(inputDigest),
    utf8(`${numbers.join(',')}\n`),
    ...labels.flat().map((text) => lengthPrefixed(utf8(text))),
  );
}

export interface Quote {
  readonly holdMicrocents: bigint;
  readonly leastMicrocents: bigint;
}

/** What such a job costs at most and at least. Throws RpcError LIMIT_EXCEEDED for one that nobody can hold. */
export function quote({
  price,
  moduleBytes,
  inputBytes,
  limits,
  maxHoldMicrocents,
}: {
  readonly price: PriceRates;
  readonly moduleBytes: bigint;
  readonly inputBytes: bigint;
  readonly limits: JobLimits;
  /** What the ledger moves at most. */
  readonly maxHoldMicrocents: bigint;
}): Quote {
  const hold = holdMicrocents({
    price,
    moduleBytes,
    inputBytes,
    outputLimitBytes: limits.outputBytes,
    fuelLimit: limits.fuel,
  });
  if (hold > maxHoldMicrocents) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'LIMIT_EXCEEDED',
      `pricing the job: its highest price of ${hold} microcents is more than the ${maxHoldMicrocents} that can be held`,
    );
  }
  return {
    holdMicrocents: hold,
    leastMicrocents: chargeMicrocents({
      price,
      moduleBytes,
      inputBytes,
      outputBytes: 0n,
      fuel: 0n,
    }),
  };
}

/** For a message of the contract. */
export function priceMessage(price: PriceRates): Omit<Price, '$typeName'> {
  const {
    baseMicrocents,
    perMibModuleMicrocents,
    perMibIoMicrocents,
    perMillionFuelMicrocents,
    shareBasisPoints,
  } = price;
  return {
    baseMicrocents,
    perMibModuleMicrocents,
    perMibIoMicrocents,
    perMillionFuelMicrocents,
    shareBasisPoints,
  };
}
