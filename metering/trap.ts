// Which trap ended a guest, from what V8 throws. V8 tells traps apart by their message alone; these are
// the texts of its message templates (src/common/message-template.h, kTrap...), unchanged for years.
//
// Two pairs share a text: a call through a null and through a badly typed table element (both answer
// BAD_SIGNATURE), and the conversion of a NaN and of a number out of range (both answer
// BAD_CONVERSION_TO_INTEGER).

export type TrapName =
  | 'UNREACHABLE'
  | 'MEMORY_OUT_OF_BOUNDS'
  | 'TABLE_OUT_OF_BOUNDS'
  | 'INTEGER_DIVISION_BY_ZERO'
  | 'INTEGER_OVERFLOW'
  | 'BAD_CONVERSION_TO_INTEGER'
  | 'BAD_SIGNATURE'
  | 'NULL_REFERENCE'
  | 'STACK_OVERFLOW';

const BY_MESSAGE: ReadonlyMap<string, TrapName> = new Map([
  ['unreachable', 'UNREACHABLE'],
  ['memory access out of bounds', 'MEMORY_OUT_OF_BOUNDS'],
  ['table index is out of bounds', 'TABLE_OUT_OF_BOUNDS'],
  ['divide by zero', 'INTEGER_DIVISION_BY_ZERO'],
  ['remainder by zero', 'INTEGER_DIVISION_BY_ZERO'],
  ['divide result unrepresentable', 'INTEGER_OVERFLOW'],
  ['float unrepresentable in integer range', 'BAD_CONVERSION_TO_INTEGER'],
  ['function signature mismatch', 'BAD_SIGNATURE'],
  ['null function or function signature mismatch', 'BAD_SIGNATURE'],
  ['dereferencing a null pointer', 'NULL_REFERENCE'],
  ['element segment out of bounds', 'TABLE_OUT_OF_BOUNDS'],
]);

const BAD_DATA_SEGMENT = /^data segment \d+ is out of bounds/;
const CALLER = /^WebAssembly\.\w+\(\): /;

/**
 * The trap that `error`, caught from a call into a guest or from its instantiation, stands for; null
 * when it is no trap but something that the host threw or failed at.
 */
export function trapOf(error: unknown): TrapName | null {
  if (error instanceof RangeError) {
    return error.message === 'Maximum call stack size exceeded' ? 'STACK_OVERFLOW' : null;
  }
  if (!(error instanceof WebAssembly.RuntimeError)) return null;
  const message = error.message.replace(CALLER, '');
  if (BAD_DATA_SEGMENT.test(message)) return 'MEMORY_OUT_OF_BOUNDS';
  return BY_MESSAGE.get(message) ?? null;
}
