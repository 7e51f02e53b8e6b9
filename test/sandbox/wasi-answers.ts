// Calling WASI functions from a guest, and reading what they answered.
import { expect } from 'chai';
import type { GuestOutcome, GuestSpec } from '../../sandbox/sandbox.ts';
import { readWasiOutput, specOf, wasiGuest } from './guests.ts';
import type { WasiCall } from './guests.ts';

export const SUCCESS = 0;
export const BADF = 8;
export const FAULT = 21;
export const INVAL = 28;
export const NOTDIR = 54;
export const NOTSOCK = 57;
export const NOTSUP = 58;
export const SPIPE = 70;
export const NOTCAPABLE = 76;

export const call = (name: string, ...args: (number | bigint)[]): WasiCall => ({ name, args });

export interface Surroundings {
  /** Put at the start of the guest's memory. */
  readonly data?: Uint8Array;
  /** Of its memory, what to answer. */
  readonly showBytes?: number;
  readonly input?: Uint8Array;
}

export interface Answers {
  readonly errnos: readonly number[];
  readonly memory: Uint8Array;
  readonly outcome: GuestOutcome;
}

/** Makes the calls in one guest, which must succeed. */
export async function answers(
  run: (spec: GuestSpec) => Promise<GuestOutcome>,
  calls: readonly WasiCall[],
  { data, showBytes = 0, input }: Surroundings = {},
): Promise<Answers> {
  const module = await wasiGuest(calls, { ...(data && { data }), showBytes });
  const outcome = await run(specOf(module, { ...(input && { input }) }));
  expect(outcome).to.include({ end: 'SUCCEEDED' });
  return { ...readWasiOutput(outcome.output, calls.length), outcome };
}
