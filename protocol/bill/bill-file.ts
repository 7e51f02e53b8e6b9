// A bill as one JSON file, in protobuf's JSON mapping: readable without any of our code, and written so
// that it reads the same to everyone.

import { fromJson, toJson, type JsonValue } from '@bufbuild/protobuf';
import { BillSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';

/** A bill has some 8 KiB: three envelopes and six certificates. */
export const MAX_BILL_FILE_BYTES = 262_144;

/** A file that is no bill. */
export class MalformedBillFile extends Error {
  override readonly name = 'MalformedBillFile';
}

/** The file's text, with a line break at its end. */
export function writeBillFile(bill: Bill): string {
  return `${JSON.stringify(toJson(BillSchema, bill), null, 2)}\n`;
}

/**
 * The bill in these bytes, at most MAX_BILL_FILE_BYTES of UTF-8. Throws MalformedBillFile for everything
 * else: unknown fields, a field twice (also once in each of the two spellings that protobuf allows).
 */
export function readBillFile(bytes: Uint8Array): Bill {
  if (bytes.length > MAX_BILL_FILE_BYTES) {
    throw new MalformedBillFile(
      `Reading the bill: the file has ${bytes.length} bytes, more than ${MAX_BILL_FILE_BYTES}`,
    );
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const json = JSON.parse(text) as JsonValue;
    if (countFields(json) !== countNames(text)) {
      throw new MalformedBillFile('Reading the bill: a field stands there twice');
    }
    return fromJson(BillSchema, json);
  } catch (cause) {
    if (cause instanceof MalformedBillFile) throw cause;
    throw new MalformedBillFile(
      'Reading the bill: the file is no bill in JSON; get it again with `gap-junction job watch JOB --bill FILE`',
      { cause },
    );
  }
}

/** Names in the text of valid JSON: each string that a colon follows. */
function countNames(text: string): number {
  let names = 0;
  for (const [, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g)) {
    if (colon !== undefined) names++;
  }
  return names;
}

/** Fields that are left after parsing, the two spellings of one counted once. */
function countFields(json: JsonValue): number {
  let fields = 0;
  const open: JsonValue[] = [json];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (value === null || typeof value !== 'object') continue;
    if (Array.isArray(value)) {
      for (const item of value) open.push(item);
      continue;
    }
    const names = Object.keys(value).map((name) => name.replaceAll('_', '').toLowerCase());
    fields += new Set(names).size;
    for (const inner of Object.values(value)) open.push(inner);
  }
  return fields;
}
