// The host calls that a guest with the entry `run` has, and a way to use each that needs no care.

// @ts-ignore: decorator
@external("gap_junction", "input_size")
declare function input_size(): u32;

// @ts-ignore: decorator
@external("gap_junction", "input_read")
declare function input_read(pointer: usize, offset: u32, length: u32): u32;

// @ts-ignore: decorator
@external("gap_junction", "output_write")
declare function output_write(pointer: usize, length: u32): void;

/** The whole input. */
export function readInput(): Uint8Array {
  const input = new Uint8Array(input_size());
  input_read(input.dataStart, 0, input.byteLength);
  return input;
}

/** Appends to the result. */
export function writeOutput(bytes: Uint8Array): void {
  output_write(bytes.dataStart, bytes.byteLength);
}

export function writeText(text: string): void {
  const bytes = String.UTF8.encode(text);
  output_write(changetype<usize>(bytes), bytes.byteLength);
}
