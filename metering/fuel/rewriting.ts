// Writes a body again with what its plan says put in. The counter and the grant are globals of the
// module's own; a run of operators costs one addition, a check one comparison:
//
//   charge n   counter += n
//   check      if (counter >= grant) refill(counter)
//
// At an entry and at a loop header the two are one: the counter is read once into a local. What is
// inserted leaves the operand stack as it was, and opens and closes its blocks itself, so that no
// label in the guest's code changes.

import type { ByteWriter } from '../wasm/byte-writer.ts';
import { ByteWriter as Writer } from '../wasm/byte-writer.ts';
import type { FunctionBody } from '../wasm/code-section.ts';
import { Opcode } from '../wasm/opcode.ts';
import { type Plan, Step } from './plan.ts';
import { ENTRY_FUEL } from './schedule.ts';

/** Numbers of what metering has added to a module, and of what it bounds. */
export interface Additions {
  readonly counterGlobal: number;
  readonly grantGlobal: number;
  readonly refillFunction: number;
  readonly growthFailedFunction: number;
  readonly renumberFunction: (functionIndex: number) => number;
  /** Pages to which the memory may grow in the metered module. */
  readonly maxMemoryPages: number;
  /** Elements to which each table may grow in the metered module. */
  readonly maxTableElements: readonly number[];
}

const EMPTY_BLOCK = 0x40;

export class Rewriting {
  readonly #additions: Additions;
  readonly #writer: ByteWriter = new Writer(64 * 1024);
  /** Where the ifs are, in the body being written, that are hardly ever entered. */
  #unlikely: number[] = [];
  /** The first local that the guest does not know: the counter, while it is looked at. */
  #counterLocal = 0;

  constructor(additions: Additions) {
    this.#additions = additions;
  }

  /** The body with `plan` carried out. */
  rewrite(body: FunctionBody, plan: Plan): FunctionBody {
    const writer = this.#writer;
    const { source } = body;
    writer.clear();
    this.#unlikely = [];
    this.#counterLocal = body.localCount;
    let copied = body.start;
    for (let step = 0; step < plan.length; step++) {
      const offset = plan.offsets[step]!;
      const kind = plan.kinds[step]!;
      const value = plan.values[step]!;
      if (kind === Step.charge && value === 0) continue;
      writer.copy(source, copied, offset);
      copied = plan.ends[step]!;
      this.#step(kind, value, source[offset]!);
    }
    writer.copy(source, copied, body.end);
    return this.#bodyOf(body, plan.grows);
  }

  #bodyOf(body: FunctionBody, grows: boolean): FunctionBody {
    const counter = { count: 1, type: 'i64' } as const;
    const growth = { count: 2, type: 'i32' } as const;
    return {
      localGroups: grows ? [...body.localGroups, counter, growth] : [...body.localGroups, counter],
      localCount: body.localCount + (grows ? 3 : 1),
      source: this.#writer.written.slice(),
      start: 0,
      end: this.#writer.length,
      unlikely: this.#unlikely,
    };
  }

  #step(kind: number, value: number, opcode: number): void {
    switch (kind) {
      case Step.enter:
        this.#globalGet(this.#additions.counterGlobal);
        this.#i64Const(ENTRY_FUEL);
        this.#writer.byte(Opcode.i64Add);
        this.#checkThenCharge(value);
        break;
      case Step.header:
        this.#globalGet(this.#additions.counterGlobal);
        if (value === 0) this.#check();
        else this.#checkThenCharge(value);
        break;
      case Step.charge:
        this.#globalGet(this.#additions.counterGlobal);
        this.#chargeFrom(value);
        break;
      case Step.check:
        this.#globalGet(this.#additions.counterGlobal);
        this.#check();
        break;
      case Step.renumber:
        this.#writer.byte(opcode);
        this.#writer.u32(this.#additions.renumberFunction(value));
        break;
      case Step.growMemory:
        this.#growMemory();
        break;
      case Step.growTable:
        this.#growTable(value);
        break;
    }
  }

  /** With the counter on the stack: leaves it in its local and asks for more when there is none. */
  #check(): void {
    const writer = this.#writer;
    writer.byte(Opcode.localTee);
    writer.u32(this.#counterLocal);
    this.#globalGet(this.#additions.grantGlobal);
    writer.byte(Opcode.i64GeU);
    this.#rarelyIf();
    this.#localGet(this.#counterLocal);
    this.#call(this.#additions.refillFunction);
    writer.byte(Opcode.end);
  }

  #checkThenCharge(fuel: number): void {
    this.#check();
    // The entry's own fuel is in the counter on the stack, and must be stored too.
    this.#localGet(this.#counterLocal);
    this.#chargeFrom(fuel);
  }

  /** With the counter on the stack. */
  #chargeFrom(fuel: number): void {
    const writer = this.#writer;
    if (fuel > 0) {
      this.#i64Const(fuel);
      writer.byte(Opcode.i64Add);
    }
    writer.byte(Opcode.globalSet);
    writer.u32(this.#additions.counterGlobal);
  }

  #growMemory(): void {
    const writer = this.#writer;
    const grow = () => {
      writer.byte(Opcode.memoryGrow);
      writer.byte(0);
    };
    const size = () => {
      writer.byte(Opcode.memorySize);
      writer.byte(0);
    };
    this.#grow(grow, size, this.#additions.maxMemoryPages);
  }

  #growTable(table: number): void {
    const operator = (opcode: number) => () => {
      this.#writer.byte(opcode >>> 8);
      this.#writer.u32(opcode & 0xff);
      this.#writer.u32(table);
    };
    const max = this.#additions.maxTableElements[table]!;
    this.#grow(operator(Opcode.tableGrow), operator(Opcode.tableSize), max);
  }

  /**
   * Growth that fails although it stays within `max` failed on this host: the guest never sees that,
   * since it would make its run depend on the machine.
   */
  #grow(grow: () => void, size: () => void, max: number): void {
    const writer = this.#writer;
    const deltaLocal = this.#counterLocal + 1;
    const resultLocal = this.#counterLocal + 2;
    writer.byte(Opcode.localTee);
    writer.u32(deltaLocal);
    grow();
    writer.byte(Opcode.localTee);
    writer.u32(resultLocal);
    writer.byte(Opcode.i32Const);
    writer.s32(-1);
    writer.byte(Opcode.i32Eq);
    this.#rarelyIf();
    size();
    writer.byte(Opcode.i64ExtendI32U);
    this.#localGet(deltaLocal);
    writer.byte(Opcode.i64ExtendI32U);
    writer.byte(Opcode.i64Add);
    this.#i64Const(max);
    writer.byte(Opcode.i64LeU);
    this.#rarelyIf();
    this.#call(this.#additions.growthFailedFunction);
    writer.byte(Opcode.end);
    writer.byte(Opcode.end);
    this.#localGet(resultLocal);
  }

  /** An if whose body V8 moves out of the way. */
  #rarelyIf(): void {
    this.#unlikely.push(this.#writer.length);
    this.#writer.byte(Opcode.if);
    this.#writer.byte(EMPTY_BLOCK);
  }

  #globalGet(global: number): void {
    this.#writer.byte(Opcode.globalGet);
    this.#writer.u32(global);
  }

  #localGet(local: number): void {
    this.#writer.byte(Opcode.localGet);
    this.#writer.u32(local);
  }

  #call(functionIndex: number): void {
    this.#writer.byte(Opcode.call);
    this.#writer.u32(functionIndex);
  }

  /** A constant below 2^31, whose bytes are those of the same i32. */
  #i64Const(value: number): void {
    this.#writer.byte(Opcode.i64Const);
    this.#writer.s32(value);
  }
}
