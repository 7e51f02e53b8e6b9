// Constant expressions: what a global, an offset or an element starts as (core specification, section
// 3.3.7, with the arithmetic of the extended-const proposal). They stay bytes, checked but not decoded.

import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import { MAX_CONSTANT_OPERATORS } from './limits.ts';
import { readReferenceType } from './value-type.ts';

/** One or more expressions, each with its end, at `start` to before `end` of `source`. */
export interface ConstantBytes {
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** What an expression may name: functions and globals, of which these many are there. */
export interface ConstantScope {
  readonly functions: number;
  readonly globals: number;
}

const END = 0x0b;
const GLOBAL_GET = 0x23;
const REF_FUNC = 0xd2;
const V128_CONST = 12;
const ARITHMETIC = new Set([0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e]);

/** Reads one expression through its end. */
export function readConstantExpression(reader: ByteReader, scope: ConstantScope): ConstantBytes {
  const start = reader.offset;
  for (let operators = 0; readOperator(reader, scope) !== END; operators++) {
    if (operators === MAX_CONSTANT_OPERATORS) {
      throw new WasmError(
        start,
        `a constant expression has more than ${MAX_CONSTANT_OPERATORS} operators`,
      );
    }
  }
  return { source: reader.bytes, start, end: reader.offset };
}

function readOperator(reader: ByteReader, scope: ConstantScope): number {
  const { offset } = reader;
  const opcode = reader.byte();
  switch (opcode) {
    case END:
      break;
    case 0x41:
      reader.s32();
      break;
    case 0x42:
      reader.skipS64();
      break;
    case 0x43:
      reader.skip(4);
      break;
    case 0x44:
      reader.skip(8);
      break;
    case GLOBAL_GET:
      expectBelow(reader, scope.globals, 'global');
      break;
    case 0xd0:
      readReferenceType(reader);
      break;
    case REF_FUNC:
      expectBelow(reader, scope.functions, 'function');
      break;
    case 0xfd:
      if (reader.u32() !== V128_CONST) refuse(offset, opcode);
      reader.skip(16);
      break;
    default:
      if (!ARITHMETIC.has(opcode)) refuse(offset, opcode);
  }
  return opcode;
}

function expectBelow(reader: ByteReader, count: number, what: string): void {
  const { offset } = reader;
  const index = reader.u32();
  if (index >= count) throw new WasmError(offset, `${what} ${index} is not there: ${count} are`);
}

function refuse(offset: number, opcode: number): never {
  if (opcode === 0xfb) {
    throw new WasmError(offset, 'an operator of the proposal "GC" is not accepted');
  }
  const hex = opcode.toString(16).padStart(2, '0');
  throw new WasmError(offset, `0x${hex} starts no operator of a constant expression`);
}

export function writeConstantBytes(
  writer: ByteWriter,
  { source, start, end }: ConstantBytes,
): void {
  writer.copy(source, start, end);
}

/** For expressions whose indices were checked when they were read. */
const UNBOUNDED: ConstantScope = { functions: Infinity, globals: Infinity };

/** Calls `visit` with every function index in the expressions. */
export function visitFunctions(
  { source, start, end }: ConstantBytes,
  visit: (functionIndex: number) => void,
): void {
  const reader = new ByteReader(source, start, end);
  while (!reader.atEnd) {
    const at = reader.offset;
    if (readOperator(reader, UNBOUNDED) === REF_FUNC) {
      visit(new ByteReader(source, at + 1, reader.offset).u32());
    }
  }
}

/** The same expressions with every function index passed through `renumber`. */
export function renumberConstantBytes(
  constant: ConstantBytes,
  renumber: (functionIndex: number) => number,
): ConstantBytes {
  const reader = new ByteReader(constant.source, constant.start, constant.end);
  const writer = new ByteWriter(constant.end - constant.start + 16);
  while (!reader.atEnd) {
    const start = reader.offset;
    if (readOperator(reader, UNBOUNDED) === REF_FUNC) {
      const index = new ByteReader(constant.source, start + 1, reader.offset).u32();
      writer.byte(REF_FUNC);
      writer.u32(renumber(index));
    } else {
      writer.copy(constant.source, start, reader.offset);
    }
  }
  return { source: writer.written, start: 0, end: writer.length };
}
