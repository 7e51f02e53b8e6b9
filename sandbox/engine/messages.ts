// What the two sides of the pipe say, in frames. The agent believes nothing that comes back: a guest
// that broke out of V8 would speak here.
import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { FrameError, writeFrame } from './frames.ts';
import type { Frame } from './frames.ts';
import { GUEST_ENDS, SEED_BYTES } from './guest-run.ts';
import type { GuestEnd, GuestOutcome, GuestSpec } from './guest-run.ts';

export const FrameKind = {
  /** To the sandbox: run this guest. One at a time. */
  RUN: 1,
  /** To the sandbox: stop the guest. */
  CANCEL: 2,
  /** From the sandbox: the module is not in its cache, send RUN again with its bytes. */
  MODULE_MISSING: 3,
  /** From the sandbox: the deadline has passed and the guest was asked to stop. */
  DEADLINE_PASSED: 4,
  /** From the sandbox: the guest has stopped, its memory is being digested. */
  STOPPED: 5,
  /** From the sandbox: how the guest ended. */
  OUTCOME: 6,
  /** From the sandbox: what the guest logged since the last such frame; no header. */
  LOGS: 7,
  /** From the sandbox: how much fuel the guest has burnt, at most once a second. */
  PROGRESS: 8,
} as const;

/** 200 bytes of UTF-8, as a receipt takes: a module may import names of 100,000 bytes. */
export const MAX_DETAIL_BYTES = 200;
const DIGEST_BYTES = 32;

export interface RunHeader {
  readonly moduleDigest: string;
  /** Null when the module is not sent, since the sandbox is believed to have it. */
  readonly moduleBytes: number | null;
  readonly inputBytes: number;
  readonly entry: GuestSpec['entry'];
  readonly grants: GuestSpec['grants'];
  readonly limits: Omit<GuestSpec['limits'], 'fuel'> & { readonly fuel: string };
  readonly stopStateAtOutOfFuel: boolean;
}

export function hexDigestOf(spec: GuestSpec): string {
  return spec.moduleDigest === undefined
    ? createHash('sha256').update(spec.module).digest('hex')
    : Buffer.from(spec.moduleDigest).toString('hex');
}

export function writeRun(
  stream: Writable,
  spec: GuestSpec,
  { moduleDigest, withModule }: { moduleDigest: string; withModule: boolean },
): void {
  const module = withModule ? spec.module : new Uint8Array(0);
  const header: RunHeader = {
    moduleDigest,
    moduleBytes: withModule ? module.byteLength : null,
    inputBytes: spec.input.byteLength,
    entry: spec.entry,
    grants: spec.grants,
    limits: { ...spec.limits, fuel: String(spec.limits.fuel) },
    stopStateAtOutOfFuel: spec.stopStateAtOutOfFuel ?? false,
  };
  writeFrame(stream, { kind: FrameKind.RUN, header, parts: [module, spec.input, spec.seed] });
}

/** The spec in a RUN frame, its bytes views of `body`; the module empty when it was not sent. */
export function readRun(header: RunHeader, body: Uint8Array): GuestSpec {
  const inputAt = header.moduleBytes ?? 0;
  const seedAt = inputAt + header.inputBytes;
  return {
    module: body.subarray(0, inputAt),
    entry: header.entry,
    input: body.subarray(inputAt, seedAt),
    grants: header.grants,
    limits: { ...header.limits, fuel: BigInt(header.limits.fuel) },
    seed: body.subarray(seedAt, seedAt + SEED_BYTES),
    stopStateAtOutOfFuel: header.stopStateAtOutOfFuel,
  };
}

/** An outcome as the header and parts of a frame. */
export function outcomeFrame(outcome: GuestOutcome): { header: object; parts: Uint8Array[] } {
  const digest = outcome.stopStateDigest ?? new Uint8Array(0);
  return {
    header: {
      end: outcome.end,
      detail: plainText(outcome.detail),
      fuel: String(outcome.fuel),
      sleptNs: String(outcome.sleptNs),
      peakMemoryPages: outcome.peakMemoryPages,
      outputBytes: outcome.output.byteLength,
      logBytes: outcome.logs.byteLength,
      digestBytes: digest.byteLength,
    },
    parts: [outcome.output, outcome.logs, digest],
  };
}

/** Most bytes in the body of a frame that answers `spec`. */
export function maxOutcomeBytes(spec: GuestSpec): number {
  return spec.limits.outputBytes + spec.limits.logBytes + DIGEST_BYTES;
}

/** Reads the outcome of `spec`; throws FrameError where it is not one that `spec` can have. */
export function readOutcome(frame: Frame, spec: GuestSpec): GuestOutcome {
  const header = recordOf(frame.header);
  const { limits } = spec;
  const end = header['end'];
  if (!isGuestEnd(end)) throw new FrameError(`An outcome ends with ${String(end)}`);
  const outputBytes = integerOf(header, 'outputBytes', limits.outputBytes);
  const logBytes = integerOf(header, 'logBytes', limits.logBytes);
  const digestBytes = integerOf(header, 'digestBytes', DIGEST_BYTES);
  if (outputBytes + logBytes + digestBytes !== frame.body.byteLength || digestBytes % 32 !== 0) {
    throw new FrameError(
      `The parts of an outcome do not make up its ${frame.body.byteLength} bytes`,
    );
  }
  const logsAt = outputBytes;
  const digestAt = logsAt + logBytes;
  return {
    end,
    detail: textOf(header, 'detail'),
    fuel: bigintOf(header, 'fuel', limits.fuel),
    output: frame.body.subarray(0, outputBytes),
    logs: frame.body.subarray(logsAt, digestAt),
    stopStateDigest: digestBytes === 0 ? null : frame.body.subarray(digestAt),
    sleptNs: bigintOf(header, 'sleptNs', 2n ** 64n - 1n),
    peakMemoryPages: integerOf(header, 'peakMemoryPages', limits.memoryBytes / 65_536),
  };
}

/** Fuel in a PROGRESS frame; throws FrameError where `spec` has not as much. */
export function readProgress(frame: Frame, { limits }: GuestSpec): bigint {
  return bigintOf(recordOf(frame.header), 'fuel', limits.fuel);
}

function recordOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new FrameError('A header is no object');
  return value as Record<string, unknown>;
}

function isGuestEnd(value: unknown): value is GuestEnd {
  return (GUEST_ENDS as readonly unknown[]).includes(value);
}

function integerOf(header: Record<string, unknown>, name: string, most: number): number {
  const value = header[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw new FrameError(`${name} of an outcome is ${String(value)}, not 0 to ${most}`);
  }
  return value;
}

function bigintOf(header: Record<string, unknown>, name: string, most: bigint): bigint {
  const value = header[name];
  if (typeof value !== 'string' || !/^\d{1,20}$/.test(value) || BigInt(value) > most) {
    throw new FrameError(`${name} of an outcome is ${String(value)}, not 0 to ${most}`);
  }
  return BigInt(value);
}

function textOf(header: Record<string, unknown>, name: string): string {
  const value = header[name];
  if (typeof value !== 'string' || value !== plainText(value)) {
    throw new FrameError(
      `${name} of an outcome is no plain text of at most ${MAX_DETAIL_BYTES} bytes`,
    );
  }
  return value;
}

/** What a terminal and a receipt can take of a text that a guest may have chosen. */
function plainText(text: string): string {
  const plain = text.toWellFormed().replace(/\p{Cc}/gu, '?');
  const bytes = new Uint8Array(MAX_DETAIL_BYTES);
  const { read } = new TextEncoder().encodeInto(plain, bytes);
  return plain.slice(0, read);
}
