// Reading the fields of a decoded payload: each answers what it was given, or throws MalformedPayload
// with the field's name.

import { isId, type IdKind } from '../identity/ids.ts';
import { isDigest } from './digest.ts';
import { MalformedPayload } from './strict-decode.ts';

/** Names, versions and details are short; this bounds what is printed of a stranger's bill. */
export const MAX_TEXT_BYTES = 200;

/** A stranger's text as it may stand in a message: short, without characters that steer a terminal. */
export function quoted(text: string): string {
  return `"${text.slice(0, 100).replaceAll(/\p{C}/gu, '?')}"`;
}

export function requireId(kind: IdKind, value: string, field: string): void {
  if (!isId(kind, value)) {
    throw new MalformedPayload(`"${field}" is ${quoted(value)}, no id of the kind "${kind}-"`);
  }
}

/** 32 bytes: digests, key ids, seeds, isolation keys. */
export function requireDigest(value: Uint8Array, field: string): void {
  if (!isDigest(value)) {
    throw new MalformedPayload(`"${field}" has ${value.length} bytes instead of 32`);
  }
}

export function requirePresent<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw new MalformedPayload(`"${field}" is missing`);
  return value;
}

export function requireText(value: string, field: string): void {
  // Control characters could draw over what a terminal shows of a bill.
  if (/\p{Cc}/u.test(value) || Buffer.byteLength(value) > MAX_TEXT_BYTES) {
    throw new MalformedPayload(`"${field}" must be plain text of at most ${MAX_TEXT_BYTES} bytes`);
  }
}

export function requireThat(condition: boolean, field: string, rule: string): void {
  if (!condition) throw new MalformedPayload(`"${field}" ${rule}`);
}
