// The public face of the sandbox: runs one untrusted guest at a time in a process that holds nothing.
// Nothing outside of this folder imports any other file of it.
//
// How a run stays cheap and alone at once:
//   1. A process belongs to one isolation key for its whole life, and only its own pipe reaches it.
//   2. Its guest thread stays warm between runs and keeps compiled modules by digest; every run is a
//      new instance with a new memory, clock, random stream and output, so no state is carried over.
//   3. Whatever had to be killed, or found the machine at fault, takes its process with it.
export { SandboxPool, type SandboxPoolOptions } from './engine/pool.ts';
export {
  GUEST_ENDS,
  MAX_EPOCHS,
  MAX_INPUT_BYTES,
  MAX_LOG_BYTES,
  MAX_MEMORY_BYTES,
  MAX_MODULE_BYTES,
  MAX_OUTPUT_BYTES,
  type GuestEnd,
  type GuestEntry,
  type GuestLimits,
  type GuestOutcome,
  type GuestSpec,
} from './engine/guest-run.ts';
export {
  EPOCH_MS,
  FLOOR_FUEL_PER_SECOND,
  STOP_ANSWER_MS,
  deadlineNs,
  isBelowFloor,
} from './engine/stop.ts';
export { digestStopState } from './engine/stop-state.ts';
export { GJ_0_DIGEST_HEX, GJ_0_PROFILE } from '../metering/metering.ts';
