// Limits of a memory or table (core specification, section 5.3.7).

import { WasmError } from './error.ts';
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';

/** Sizes in pages of 64 KiB for a memory, in elements for a table; `max` null where none is declared. */
export interface Limits {
  readonly min: number;
  readonly max: number | null;
}

/** Reads limits whose sizes are at most `bound`; `what` names the thing in errors. */
export function readLimits(
  reader: ByteReader,
  { what, bound, unit }: { what: string; bound: number; unit: string },
): Limits {
  const start = reader.offset;
  const flags = reader.byte();
  if (flags > 1) refuseFlags(flags, start, what);
  const minOffset = reader.offset;
  const min = reader.u32();
  if (min > bound) {
    throw new WasmError(minOffset, `${what} of ${min} ${unit} is larger than ${bound}`);
  }
  if (flags === 0) return { min, max: null };
  const maxOffset = reader.offset;
  const max = reader.u32();
  if (max < min) {
    throw new WasmError(maxOffset, `${what} has a maximum of ${max} below its minimum of ${min}`);
  }
  return { min, max };
}

function refuseFlags(flags: number, offset: number, what: string): never {
  let proposal: string | null = null;
  if (flags < 16) {
    if ((flags & 8) !== 0) proposal = 'custom page sizes';
    else if ((flags & 4) !== 0) proposal = 'memory64';
    else proposal = 'threads';
  }
  throw new WasmError(
    offset,
    proposal === null
      ? `0x${flags.toString(16)} are no flags of a ${what}`
      : `a ${what} of the proposal "${proposal}" is not accepted`,
  );
}

export function writeLimits(writer: ByteWriter, { min, max }: Limits): void {
  writer.byte(max === null ? 0 : 1);
  writer.u32(min);
  if (max !== null) writer.u32(max);
}
