// Where a body is charged and checked.
//
// The fuel of a run of operators that are executed one after another, or not at all, is charged at once
// where the run starts. So that the counter is exact wherever anybody looks at it, a run ends
//
//   1. at a place that can be reached from elsewhere: a loop header, the arms of an if and its end, the
//      end of a block that some branch names;
//   2. behind an operator that may not go on to the next one: br, br_if, br_table, return, unreachable;
//   3. behind a call, for the callee and the host go on counting from what they find;
//   4. at a check in the middle of the code, the one of a memory.grow by a number of pages that is no
//      constant;
//   5. behind a load or store that is always out of bounds, as it must be the last thing charged.
//
//   | check            | the counter holds                                  |
//   | function entry   | all before, and 1 for the entry                    |
//   | loop header      | all before                                         |
//   | memory.grow      | all before, and the 1 of memory.grow               |
//
// Code that cannot be reached is charged like any other: it never runs, and costs nothing.

import type { FunctionBody } from '../wasm/code-section.ts';
import type { IndexSpaces } from '../wasm/index-spaces.ts';
import { MAX_NESTING } from '../wasm/limits.ts';
import { accessBytes, Immediate, immediateOf, Opcode } from '../wasm/opcode.ts';
import { OperatorReader } from '../wasm/operator-reader.ts';
import { type Plan, Step } from './plan.ts';
import { operatorFuel } from './schedule.ts';

export class Analysis {
  readonly #operators: OperatorReader;
  readonly #maxMemoryBytes: number;
  /** For each open block, whether a branch to its end was seen. */
  readonly #targeted = new Uint8Array(MAX_NESTING + 2);
  readonly #isLoop = new Uint8Array(MAX_NESTING + 2);
  #plan: Plan;
  /** The step that charges the current run, and the fuel of the run so far. */
  #run = 0;
  #runFuel = 0;

  /** Analyses bodies within `source`, a module with these index spaces. */
  constructor(source: Uint8Array, spaces: IndexSpaces, plan: Plan) {
    this.#operators = new OperatorReader(source, spaces);
    this.#maxMemoryBytes = spaces.maxMemoryBytes;
    this.#plan = plan;
  }

  /** Fills the plan for one body. */
  analyse(body: FunctionBody): void {
    const operators = this.#operators;
    this.#plan.clear();
    this.#runFuel = 0;
    this.#run = this.#plan.add(Step.enter, body.start, body.start, 0);
    operators.enter(body);
    this.#openLabel(0, false);
    let previous: number = Opcode.nop;
    while (operators.next()) {
      const { opcode } = operators;
      this.#runFuel += operatorFuel(opcode);
      this.#operator(opcode, previous);
      previous = opcode;
    }
    this.#closeRun();
  }

  #operator(opcode: number, previous: number): void {
    const operators = this.#operators;
    const { start, end, depth } = operators;
    switch (opcode) {
      case Opcode.block:
        this.#openLabel(depth - 1, false);
        return;
      case Opcode.loop:
        this.#openLabel(depth - 1, true);
        this.#startRun(Step.header, end);
        return;
      case Opcode.if:
        this.#openLabel(depth - 1, false);
        // Both arms, or the one arm and nothing, meet at the end.
        this.#targeted[depth - 1] = 1;
        this.#startRun(Step.charge, end);
        return;
      case Opcode.else:
        this.#startRun(Step.charge, end);
        return;
      case Opcode.end:
        if (depth > 0 && this.#targeted[depth] === 1) this.#startRun(Step.charge, end);
        return;
      case Opcode.br:
      case Opcode.brIf:
        this.#target(depth - 1 - operators.index);
        this.#startRun(Step.charge, end);
        return;
      case Opcode.brTable:
        for (const label of operators.labels) this.#target(depth - 1 - label);
        this.#startRun(Step.charge, end);
        return;
      case Opcode.return:
      case Opcode.unreachable:
      case Opcode.callIndirect:
      case Opcode.returnCallIndirect:
        this.#startRun(Step.charge, end);
        return;
      case Opcode.call:
      case Opcode.returnCall:
        this.#plan.add(Step.renumber, start, end, operators.index);
        this.#startRun(Step.charge, end);
        return;
      case Opcode.refFunc:
        this.#plan.add(Step.renumber, start, end, operators.index);
        return;
      case Opcode.memoryGrow:
        this.#growMemory(previous === Opcode.i32Const);
        return;
      case Opcode.tableGrow:
        this.#plan.grows = true;
        this.#plan.add(Step.growTable, start, end, operators.index);
        return;
      default:
        this.#access(opcode);
    }
  }

  #growMemory(isConstant: boolean): void {
    const { start, end } = this.#operators;
    this.#plan.grows = true;
    if (!isConstant) this.#plan.add(Step.check, start, start, 0);
    this.#plan.add(Step.growMemory, start, end, 0);
    if (!isConstant) this.#startRun(Step.charge, end);
  }

  #access(opcode: number): void {
    const immediate = immediateOf(opcode);
    if (immediate !== Immediate.address && immediate !== Immediate.addressThenLane) return;
    if (this.#operators.staticEndBytes > this.#maxMemoryBytes && accessBytes(opcode) > 0) {
      this.#startRun(Step.charge, this.#operators.end);
    }
  }

  #openLabel(depth: number, isLoop: boolean): void {
    this.#targeted[depth] = 0;
    this.#isLoop[depth] = isLoop ? 1 : 0;
  }

  /** A branch to a loop goes to its header, which starts a run anyway; to a block, to its end. */
  #target(depth: number): void {
    if (this.#isLoop[depth] === 0) this.#targeted[depth] = 1;
  }

  #startRun(kind: number, offset: number): void {
    this.#closeRun();
    this.#run = this.#plan.add(kind, offset, offset, 0);
  }

  #closeRun(): void {
    this.#plan.values[this.#run] = this.#runFuel;
    this.#runFuel = 0;
  }
}
