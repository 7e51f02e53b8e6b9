// Modules put together byte by byte, where the text form cannot say what is wrong with them.
import { expect } from 'chai';

import { readModule, WasmError } from '../../../metering/metering.ts';

export const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
export const EMPTY_TYPE = [1, 4, 1, 0x60, 0, 0];

/** The error with which these bytes are refused; null when they are not. */
export function refusal(bytes: Uint8Array): WasmError | null {
  try {
    readModule(bytes);
    return null;
  } catch (error) {
    expect(error, String(error)).to.be.instanceOf(WasmError);
    return error as WasmError;
  }
}

export function u32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

export function section(id: number, body: readonly number[]): number[] {
  return [id, ...u32(body.length)].concat(body);
}

export function moduleOf(...sections: readonly (readonly number[])[]): Uint8Array {
  return new Uint8Array([...PREAMBLE, ...sections.flat()]);
}

/** A body of this many bytes: no locals, one operator over and over, the end. */
export function codeOf(length: number, operator: number): Uint8Array {
  const body = Array.from({ length }, () => operator);
  body[0] = 0;
  body[length - 1] = 0x0b;
  return moduleOf(EMPTY_TYPE, section(3, [1, 0]), section(10, [1, ...u32(length)].concat(body)));
}

/** One function of type () -> () with these operators, its end included. */
export function bodyOf(...operators: readonly number[]): Uint8Array {
  const body = [0].concat(operators);
  return moduleOf(
    EMPTY_TYPE,
    section(3, [1, 0]),
    section(10, [1, ...u32(body.length)].concat(body)),
  );
}
