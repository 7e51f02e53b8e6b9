// Goes through the operators of one function body, one at a time, without making an object for any.
// It checks all that a rewriting depends on: that every index names something of the guest's own, that
// blocks nest and end, that every immediate is within the body. Types on the operand stack are left to
// V8, which validates what is written before it runs anything.

import { ByteReader } from './byte-reader.ts';
import { WasmError } from './error.ts';
import type { IndexSpaces } from './index-spaces.ts';
import { MAX_BR_TABLE_TARGETS, MAX_NESTING } from './limits.ts';
import {
  accessBytes,
  Immediate,
  immediateOf,
  Opcode,
  proposalBehindPrefix,
  proposalOf,
  proposalOfPrefix,
} from './opcode.ts';
import { readReferenceType, readValueType, refuseValueType, valueTypeOf } from './value-type.ts';

const EMPTY_BLOCK = 0x40;
/** Bit of an alignment that says a memory index follows. */
const MEMORY_INDEX_FOLLOWS = 0x40;

export class OperatorReader {
  /** The operator just read; prefix * 256 + number behind a prefix. */
  opcode: number = Opcode.nop;
  /** Where it starts, in bytes from the start of the file. */
  start = 0;
  /** Its first index: label, function, local, global, table, ... */
  index = 0;
  /** For a block, loop or if: the index of its type; null when it has the short form. */
  blockTypeIndex: number | null = null;
  /** For a block, loop or if in the short form: its results, 0 or 1. */
  blockResults = 0;
  /** Labels of a br_table, its default last; valid until the next operator. */
  readonly labels: number[] = [];
  /** For a load or store: the byte after the last one it touches at dynamic address 0. */
  staticEndBytes = 0;
  /** Blocks open after this operator, the function's own included: 0 after its last end. */
  depth = 0;

  readonly #spaces: IndexSpaces;
  readonly #opened = new Uint8Array(MAX_NESTING + 1);
  readonly #source: Uint8Array;
  #reader: ByteReader;
  #localCount = 0;

  constructor(source: Uint8Array, spaces: IndexSpaces) {
    this.#source = source;
    this.#spaces = spaces;
    this.#reader = new ByteReader(source);
  }

  /** Begins at the first operator of a body that has `localCount` parameters and locals. */
  enter({ start, end, localCount }: { start: number; end: number; localCount: number }): void {
    this.#reader = new ByteReader(this.#source, start, end);
    this.#localCount = localCount;
    this.#opened[0] = Opcode.block;
    this.depth = 1;
  }

  /** Where the operator just read ends and the next one starts. */
  get end(): number {
    return this.#reader.offset;
  }

  /** Opcode of the block, loop, if or else that is open at `depth` - 1. */
  openedBy(depth: number): number {
    return this.#opened[depth]!;
  }

  /** Reads one operator; false when the function's own end was read before. */
  next(): boolean {
    const reader = this.#reader;
    if (this.depth === 0) {
      reader.expectEnd('a function body after its end');
      return false;
    }
    this.start = reader.offset;
    let opcode = reader.byte();
    if (opcode >= 0xfb && opcode <= 0xfe) opcode = this.#behindPrefix(opcode);
    this.opcode = opcode;
    const immediate = immediateOf(opcode);
    if (immediate === Immediate.none) {
      if (opcode === Opcode.end) this.depth--;
      else if (opcode === Opcode.else) this.#else();
    } else {
      this.#immediate(immediate, opcode);
    }
    return true;
  }

  #behindPrefix(prefix: number): number {
    const proposal = proposalOfPrefix(prefix);
    if (proposal !== undefined) this.#refuse(proposal);
    const number = this.#reader.u32();
    if (number >= 256 || proposalBehindPrefix(prefix, number) !== null) {
      this.#refuse(proposalBehindPrefix(prefix, number));
    }
    return prefix * 256 + number;
  }

  #immediate(immediate: number, opcode: number): void {
    const reader = this.#reader;
    const spaces = this.#spaces;
    switch (immediate) {
      case Immediate.local:
        this.index = this.#indexBelow(this.#localCount, 'local');
        return;
      case Immediate.i32:
        reader.s32();
        return;
      case Immediate.address:
        this.#address(opcode);
        return;
      case Immediate.blockType:
        this.#blockType();
        this.#open(opcode);
        return;
      case Immediate.label:
        this.index = this.#indexBelow(this.depth, 'label');
        return;
      case Immediate.labels:
        this.#labels();
        return;
      case Immediate.function:
        this.index = this.#indexBelow(spaces.functions, 'function');
        return;
      case Immediate.typeThenTable:
        this.index = this.#indexBelow(spaces.types, 'type');
        this.#indexBelow(spaces.tables, 'table');
        return;
      case Immediate.global:
        this.index = this.#indexBelow(spaces.globals, 'global');
        return;
      case Immediate.table:
        this.index = this.#indexBelow(spaces.tables, 'table');
        return;
      case Immediate.tableThenTable:
        this.index = this.#indexBelow(spaces.tables, 'table');
        this.#indexBelow(spaces.tables, 'table');
        return;
      case Immediate.elementThenTable:
        this.index = this.#indexBelow(spaces.elements, 'element segment');
        this.#indexBelow(spaces.tables, 'table');
        return;
      case Immediate.element:
        this.index = this.#indexBelow(spaces.elements, 'element segment');
        return;
      case Immediate.data:
        this.index = this.#indexBelow(spaces.data, 'data segment');
        return;
      case Immediate.dataThenMemory:
        this.index = this.#indexBelow(spaces.data, 'data segment');
        this.#memory();
        return;
      case Immediate.memory:
        this.#memory();
        return;
      case Immediate.memoryThenMemory:
        this.#memory();
        this.#memory();
        return;
      case Immediate.addressThenLane:
        this.#address(opcode);
        reader.byte();
        return;
      case Immediate.valueTypes:
        this.#oneValueType();
        return;
      case Immediate.referenceType:
        readReferenceType(reader);
        return;
      case Immediate.i64:
        reader.skipS64();
        return;
      case Immediate.bytes1:
        reader.skip(1);
        return;
      case Immediate.bytes4:
        reader.skip(4);
        return;
      case Immediate.bytes8:
        reader.skip(8);
        return;
      case Immediate.bytes16:
        reader.skip(16);
        return;
      default:
        this.#refuse(proposalOf(opcode));
    }
  }

  #open(opcode: number): void {
    if (this.depth > MAX_NESTING) {
      throw new WasmError(this.start, `blocks are nested more than ${MAX_NESTING} deep`);
    }
    this.#opened[this.depth++] = opcode;
  }

  #else(): void {
    if (this.#opened[this.depth - 1] !== Opcode.if || this.depth === 1) {
      throw new WasmError(this.start, 'an else stands outside of an if');
    }
    this.#opened[this.depth - 1] = Opcode.else;
  }

  #blockType(): void {
    const reader = this.#reader;
    const { offset } = reader;
    const first = reader.byte();
    this.blockTypeIndex = null;
    this.blockResults = first === EMPTY_BLOCK ? 0 : 1;
    if (first === EMPTY_BLOCK || valueTypeOf(first) !== undefined) return;
    // One byte with its sign bit set is a value type, or would be one of a proposal.
    if ((first & 0xc0) === 0x40) refuseValueType(first, offset);
    reader.offset = offset;
    const index = reader.s33();
    if (index < 0 || index >= this.#spaces.types) {
      throw new WasmError(offset, `a block has the type ${index} of ${this.#spaces.types}`);
    }
    this.blockTypeIndex = index;
  }

  #labels(): void {
    const count = this.#reader.count('targets of a br_table', MAX_BR_TABLE_TARGETS);
    this.labels.length = 0;
    for (let target = 0; target <= count; target++) {
      this.labels.push(this.#indexBelow(this.depth, 'label'));
    }
  }

  #oneValueType(): void {
    const { offset } = this.#reader;
    const count = this.#reader.u32();
    if (count !== 1) throw new WasmError(offset, `a select has ${count} types where one is needed`);
    readValueType(this.#reader);
  }

  #address(opcode: number): void {
    const reader = this.#reader;
    const { offset } = reader;
    const alignment = reader.u32();
    if (alignment >= MEMORY_INDEX_FOLLOWS) {
      if (alignment < 2 * MEMORY_INDEX_FOLLOWS) this.#refuse('multi-memory');
      throw new WasmError(offset, `an alignment of 2^${alignment} bytes is too large`);
    }
    if (this.#spaces.memories === 0) {
      throw new WasmError(this.start, 'a memory is used where the module has none');
    }
    this.staticEndBytes = reader.u32() + accessBytes(opcode);
  }

  #memory(): void {
    const { offset } = this.#reader;
    const index = this.#reader.u32();
    if (index > 0) this.#refuse('multi-memory');
    if (this.#spaces.memories === 0) {
      throw new WasmError(offset, 'a memory is used where the module has none');
    }
  }

  #indexBelow(count: number, what: string): number {
    const { offset } = this.#reader;
    const index = this.#reader.u32();
    if (index >= count) throw new WasmError(offset, `${what} ${index} is not there: ${count} are`);
    return index;
  }

  #refuse(proposal: string | null): never {
    const byte = this.#source[this.start]!.toString(16).padStart(2, '0');
    throw new WasmError(
      this.start,
      proposal === null
        ? `0x${byte} starts no operator that is known`
        : `an operator of the proposal "${proposal}" is not accepted`,
    );
  }
}
