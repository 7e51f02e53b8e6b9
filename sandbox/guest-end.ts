// Ways in which a host function ends its guest: thrown through the guest's frames, which cannot catch
// them (exceptions are outside the profile), and turned into an outcome by the engine.

/** The guest called `proc_exit`. */
export class GuestExit extends Error {
  readonly code: number;
  /** @param code exit code, unsigned 32 bits; 0 is success */
  constructor(code: number) {
    super(`The guest exited with code ${code}`);
    this.code = code;
  }
}

/** The guest gave more output than the job allows. */
export class OutputTooLarge extends Error {}

/** The time that the guest slept is by itself as long as its deadline. */
export class DeadlineReached extends Error {}

/** A trap found by a host function, under the name that a Wasm trap of that kind has. */
export class HostTrap extends Error {
  readonly trap: 'MEMORY_OUT_OF_BOUNDS';
  constructor(trap: 'MEMORY_OUT_OF_BOUNDS') {
    super(`A host call trapped with ${trap}`);
    this.trap = trap;
  }
}
