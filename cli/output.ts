// What the command prints: results to stdout, progress to stderr.
import { toJson, type DescEnum, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { timestampDate, type Timestamp } from '@bufbuild/protobuf/wkt';

/** One JSON document, or one line of a stream of them. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** A message of the contract, in protobuf's JSON mapping, fields with their zero values included. */
export function printMessage<D extends DescMessage>(schema: D, message: MessageShape<D>): void {
  printJson(toJson(schema, message, { alwaysEmitImplicit: true }));
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Rows under a heading, columns aligned; nothing but the heading where there are no rows. */
export function printTable(heading: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? '').length)),
  );
  for (const row of all) {
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

export { digestText } from '../protocol/bill/digest.ts';

const MICROCENTS_PER_CENT = 1_000_000n;

/** Whole microcents as cents: 1_234_567n is `1.234567 cents`. */
export function centsText(microcents: bigint): string {
  const sign = microcents < 0n ? '-' : '';
  const absolute = microcents < 0n ? -microcents : microcents;
  const fraction = (absolute % MICROCENTS_PER_CENT).toString().padStart(6, '0');
  return `${sign}${absolute / MICROCENTS_PER_CENT}.${fraction} cents`;
}

/** The name of an enum's value without its prefix: `OUT_OF_FUEL` of `JOB_END_OUT_OF_FUEL`. */
export function enumText(schema: DescEnum, value: number): string {
  return schema.value[value]?.localName ?? String(value);
}

export function timeText(time: Timestamp | undefined): string {
  return time === undefined ? '-' : timestampDate(time).toISOString();
}
