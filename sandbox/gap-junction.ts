// The host calls of a guest that exports `run` and speaks to us directly: its input by reading, its
// result by writing. A bad range is a mistake of the guest's compiler or author that it could not
// handle anyway, so it traps as a load out of bounds would.
import { HostTrap, OutputTooLarge } from './guest-end.ts';
import { hostFunction, hostProcedure } from './host-function.ts';
import type { HostFunction, Plan } from './host-function.ts';

export const gapJunctionFunctions: Record<string, HostFunction> = {
  /** Bytes of the whole input. */
  input_size: hostFunction([], (guest) => ({
    touchedBytes: 0,
    act: () => guest.input.byteLength,
  })),
  /** Copies up to `length` bytes of the input from `offset` to `pointer`; answers how many. */
  input_read: hostFunction(['i32', 'i32', 'i32'], (guest, pointer, offset, length) => {
    const target = guest.memory.range(pointer, length);
    if (target === undefined) return outOfBounds();
    const bytes = guest.input.subarray(offset, offset + length);
    return {
      touchedBytes: bytes.byteLength,
      act() {
        target.set(bytes);
        return bytes.byteLength;
      },
    };
  }),
  /** Appends `length` bytes at `pointer` to the result. */
  output_write: hostProcedure(['i32', 'i32'], (guest, pointer, length) => {
    const source = guest.memory.range(pointer, length);
    if (source === undefined) return outOfBounds();
    return {
      touchedBytes: length,
      act() {
        if (!guest.output.append(source)) throw new OutputTooLarge();
        return undefined;
      },
    };
  }),
};

function outOfBounds(): Plan {
  return {
    touchedBytes: 0,
    act() {
      throw new HostTrap('MEMORY_OUT_OF_BOUNDS');
    },
  };
}
