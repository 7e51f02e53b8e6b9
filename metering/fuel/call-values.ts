// Arguments and results of a call as text: integers as signed decimals, floats as 0x and their bits,
// so that nothing is lost between one engine and another.

import type { ValueType } from '../wasm/value-type.ts';

export type ArgumentText = string | number | bigint;

const FLOAT_DIGITS = { f32: 8, f64: 16 } as const;

/**
 * The value to pass for one parameter: a whole number for i32 (-2^31 to 2^32 - 1) and i64 (-2^63 to
 * 2^64 - 1); for f32 and f64 a decimal number, or 0x and all 8 or 16 hex digits of its bits.
 *
 * @throws {RangeError} for text that is no such value, and for the types that have no text
 */
export function argumentFor(type: ValueType, argument: ArgumentText): number | bigint {
  const text = String(argument);
  switch (type) {
    case 'i32':
      return Number(wholeNumber(text, type, 32n));
    case 'i64':
      return wholeNumber(text, type, 64n);
    case 'f32':
    case 'f64':
      return floatOf(text, type);
    case 'v128':
    case 'funcref':
    case 'externref':
    default:
      throw new RangeError(`An argument of type ${type} cannot be given as text`);
  }
}

function wholeNumber(text: string, type: ValueType, bits: bigint): bigint {
  const value = /^-?\d{1,20}$/.test(text) ? BigInt(text) : null;
  if (value === null || value < -(1n << (bits - 1n)) || value >= 1n << bits) {
    throw new RangeError(`'${text}' is no whole number that fits ${type}`);
  }
  return value;
}

function floatOf(text: string, type: 'f32' | 'f64'): number {
  const digits = FLOAT_DIGITS[type];
  if (new RegExp(`^0x[0-9a-fA-F]{${digits}}$`).test(text)) {
    const view = new DataView(new ArrayBuffer(8));
    if (type === 'f32') {
      view.setUint32(0, Number(text));
      return view.getFloat32(0);
    }
    view.setBigUint64(0, BigInt(text));
    return view.getFloat64(0);
  }
  const value = Number(text);
  if (text.trim() === '' || text.startsWith('0x') || Number.isNaN(value)) {
    throw new RangeError(`'${text}' is neither a decimal number nor 0x and ${digits} hex digits`);
  }
  return value;
}

/** A result as text; a reference only says whether it is null. */
export function resultText(type: ValueType, value: unknown): string {
  const view = new DataView(new ArrayBuffer(8));
  switch (type) {
    case 'i32':
    case 'i64':
      return String(value);
    case 'f32':
      view.setFloat32(0, value as number);
      return `0x${view.getUint32(0).toString(16).padStart(8, '0')}`;
    case 'f64':
      view.setFloat64(0, value as number);
      return `0x${view.getBigUint64(0).toString(16).padStart(16, '0')}`;
    case 'v128':
    case 'funcref':
    case 'externref':
    default:
      return value === null ? 'null' : type;
  }
}
