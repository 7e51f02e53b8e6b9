// Custom sections (core specification, section 5.5.3). Only names for people are kept: other tools'
// sections have no meaning here, and branch hints hold offsets that a rewriting makes wrong.

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';

export interface CustomSection {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const KEPT = new Set(['name']);

/** Reads a custom section; null when it is not one to keep. */
export function readCustomSection(reader: ByteReader): CustomSection | null {
  const name = reader.name();
  const bytes = reader.take(reader.end - reader.offset);
  return KEPT.has(name) ? { name, bytes } : null;
}

export function writeCustomSection(writer: ByteWriter, { name, bytes }: CustomSection): void {
  writer.name(name);
  writer.raw(bytes);
}
