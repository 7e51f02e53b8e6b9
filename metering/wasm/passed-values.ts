// Counts the values that the blocks, calls and branches of a body pass. One operator of three bytes can
// pass a thousand, and an engine keeps something for each of them until the function is done: V8 takes
// gigabytes to merely validate 16 MiB of such blocks, on a thread that nobody can stop.

import { WasmError } from './error.ts';
import type { FunctionType } from './function-type.ts';
import { MAX_NESTING, MAX_PASSED_VALUES, MAX_PASSED_VALUES_IN_MODULE } from './limits.ts';
import { functionTypes, type WasmModule } from './module.ts';
import { Opcode } from './opcode.ts';
import type { OperatorReader } from './operator-reader.ts';

export class PassedValues {
  readonly #types: readonly FunctionType[];
  readonly #functionTypes: readonly FunctionType[];
  /** For each open block, the values that a branch to it passes. */
  readonly #labelValues = new Uint16Array(MAX_NESTING + 2);
  #inBody = 0;
  #inModule = 0;

  constructor(module: WasmModule) {
    this.#types = module.types;
    this.#functionTypes = functionTypes(module);
  }

  /** Begins with the body of a function of this type. */
  enter({ results }: FunctionType): void {
    this.#inBody = 0;
    this.#labelValues[0] = results.length;
  }

  /**
   * Counts the operator that was just read.
   *
   * @throws {WasmError} when this body or all bodies together pass too many values
   */
  count(operators: OperatorReader): void {
    const values = this.#valuesOf(operators);
    this.#inBody += values;
    this.#inModule += values;
    if (this.#inBody > MAX_PASSED_VALUES) {
      throw new WasmError(
        operators.start,
        `blocks, calls and branches of one function pass more than ${MAX_PASSED_VALUES} values`,
      );
    }
    if (this.#inModule > MAX_PASSED_VALUES_IN_MODULE) {
      throw new WasmError(
        operators.start,
        `blocks, calls and branches pass more than ${MAX_PASSED_VALUES_IN_MODULE} values`,
      );
    }
  }

  #valuesOf(operators: OperatorReader): number {
    const { opcode, depth, index } = operators;
    switch (opcode) {
      case Opcode.block:
      case Opcode.loop:
      case Opcode.if:
        return this.#open(operators);
      case Opcode.br:
      case Opcode.brIf:
        return this.#labelValues[depth - 1 - index]!;
      case Opcode.brTable:
        return operators.labels.reduce(
          (sum, label) => sum + this.#labelValues[depth - 1 - label]!,
          0,
        );
      case Opcode.return:
        return this.#labelValues[0]!;
      case Opcode.call:
      case Opcode.returnCall:
        return valuesOf(this.#functionTypes[index]!);
      case Opcode.callIndirect:
      case Opcode.returnCallIndirect:
        return valuesOf(this.#types[index]!);
      default:
        return 0;
    }
  }

  #open({ opcode, depth, blockTypeIndex, blockResults }: OperatorReader): number {
    const type = blockTypeIndex === null ? null : this.#types[blockTypeIndex]!;
    const parameters = type?.parameters.length ?? 0;
    const results = type?.results.length ?? blockResults;
    this.#labelValues[depth - 1] = opcode === Opcode.loop ? parameters : results;
    return parameters + results;
  }
}

function valuesOf({ parameters, results }: FunctionType): number {
  return parameters.length + results.length;
}
