// The element section: what tables start with (core specification, section 5.5.12).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import {
  readConstantExpression,
  writeConstantBytes,
  type ConstantBytes,
  type ConstantScope,
} from './constant-expression.ts';
import { WasmError } from './error.ts';
import { MAX_SEGMENTS, MAX_TABLE_ELEMENTS } from './limits.ts';
import { readReferenceType, writeValueType, type ReferenceType } from './value-type.ts';

export type ElementMode =
  | { readonly kind: 'active'; readonly table: number; readonly offset: ConstantBytes }
  | { readonly kind: 'passive' }
  | { readonly kind: 'declarative' };

export type ElementItems =
  | { readonly kind: 'functions'; readonly indices: Uint32Array }
  | {
      readonly kind: 'expressions';
      readonly element: ReferenceType;
      readonly count: number;
      /** `count` expressions, one after another. */
      readonly expressions: ConstantBytes;
    };

export interface ElementSegment {
  readonly mode: ElementMode;
  readonly items: ElementItems;
}

// The bits of a segment's flags.
const NOT_ACTIVE = 1;
const HAS_TABLE_OR_IS_DECLARATIVE = 2;
const HAS_EXPRESSIONS = 4;
const FUNCTION_KIND = 0;

type ElementScope = ConstantScope & { readonly tables: number };

export function readElementSection(reader: ByteReader, scope: ElementScope): ElementSegment[] {
  const count = reader.count('element segments', MAX_SEGMENTS, 2);
  const segments: ElementSegment[] = [];
  for (let index = 0; index < count; index++) segments.push(readSegment(reader, scope));
  return segments;
}

function readSegment(reader: ByteReader, scope: ElementScope): ElementSegment {
  const { offset } = reader;
  const flags = reader.u32();
  if (flags > 7) throw new WasmError(offset, `${flags} are no flags of an element segment`);
  const mode = readMode(reader, flags, scope);
  // Only the two short forms, 0 and 4, leave the kind of their elements out.
  const saysKind = (flags & (NOT_ACTIVE | HAS_TABLE_OR_IS_DECLARATIVE)) !== 0;
  return {
    mode,
    items:
      (flags & HAS_EXPRESSIONS) === 0
        ? readFunctions(reader, saysKind, scope.functions)
        : readExpressions(reader, saysKind, scope),
  };
}

function readMode(reader: ByteReader, flags: number, scope: ElementScope): ElementMode {
  const second = (flags & HAS_TABLE_OR_IS_DECLARATIVE) !== 0;
  if ((flags & NOT_ACTIVE) !== 0) return { kind: second ? 'declarative' : 'passive' };
  const { offset } = reader;
  const table = second ? reader.u32() : 0;
  if (table >= scope.tables) {
    throw new WasmError(offset, `table ${table} is not there: ${scope.tables} are`);
  }
  return { kind: 'active', table, offset: readConstantExpression(reader, scope) };
}

function readFunctions(reader: ByteReader, saysKind: boolean, functions: number): ElementItems {
  const kindOffset = reader.offset;
  const kind = saysKind ? reader.byte() : FUNCTION_KIND;
  if (kind !== FUNCTION_KIND) throw new WasmError(kindOffset, `${kind} is no kind of element`);
  const indices = new Uint32Array(reader.count('elements of a segment', MAX_TABLE_ELEMENTS));
  for (let at = 0; at < indices.length; at++) {
    const { offset } = reader;
    const index = reader.u32();
    if (index >= functions) {
      throw new WasmError(offset, `function ${index} is not there: ${functions} are`);
    }
    indices[at] = index;
  }
  return { kind: 'functions', indices };
}

function readExpressions(
  reader: ByteReader,
  saysKind: boolean,
  scope: ConstantScope,
): ElementItems {
  const element = saysKind ? readReferenceType(reader) : 'funcref';
  const count = reader.count('elements of a segment', MAX_TABLE_ELEMENTS, 2);
  const start = reader.offset;
  for (let at = 0; at < count; at++) readConstantExpression(reader, scope);
  const expressions = { source: reader.bytes, start, end: reader.offset };
  return { kind: 'expressions', element, count, expressions };
}

export function writeElementSection(writer: ByteWriter, segments: readonly ElementSegment[]): void {
  writer.u32(segments.length);
  for (const segment of segments) writeSegment(writer, segment);
}

function writeSegment(writer: ByteWriter, { mode, items }: ElementSegment): void {
  const short =
    mode.kind === 'active' &&
    mode.table === 0 &&
    (items.kind === 'functions' || items.element === 'funcref');
  let flags = items.kind === 'expressions' ? HAS_EXPRESSIONS : 0;
  if (mode.kind !== 'active') flags |= NOT_ACTIVE;
  if (mode.kind === 'declarative' || (mode.kind === 'active' && !short)) {
    flags |= HAS_TABLE_OR_IS_DECLARATIVE;
  }
  writer.u32(flags);
  if (mode.kind === 'active') {
    if (!short) writer.u32(mode.table);
    writeConstantBytes(writer, mode.offset);
  }
  if (items.kind === 'functions') {
    if (!short) writer.byte(FUNCTION_KIND);
    writer.u32(items.indices.length);
    for (const index of items.indices) writer.u32(index);
  } else {
    if (!short) writeValueType(writer, items.element);
    writer.u32(items.count);
    writeConstantBytes(writer, items.expressions);
  }
}
