// What is to be put into one function body, and where: the result of the analysis, and all that the
// rewriting knows. Steps stand in the order of their offsets. One plan serves all bodies of a module in
// turn, in buffers that grow, so that planning makes no garbage.

export const Step = {
  /** The function is entered: charge the entry, check, charge `value` fuel. */
  enter: 0,
  /** A loop header: check, charge `value` fuel. */
  header: 1,
  /** A block of operators starts: charge `value` fuel. */
  charge: 2,
  /** Check before the operator here. */
  check: 3,
  /** The operator here names the function `value`, which gets another number. */
  renumber: 4,
  /** The operator here is memory.grow. */
  growMemory: 5,
  /** The operator here is table.grow of the table `value`. */
  growTable: 6,
} as const;

export class Plan {
  /** Steps in the plan. */
  length = 0;
  /** Whether a step grows something, which takes locals. */
  grows = false;
  kinds = new Uint8Array(1024);
  /** Where each step applies, in bytes from the start of the body's source. */
  offsets = new Uint32Array(1024);
  /** Where the operator that a step stands for ends; the offset itself when it stands for none. */
  ends = new Uint32Array(1024);
  values = new Uint32Array(1024);

  clear(): void {
    this.length = 0;
    this.grows = false;
  }

  /** Adds a step and answers its position. */
  add(kind: number, offset: number, end: number, value: number): number {
    if (this.length === this.kinds.length) this.#grow();
    const position = this.length++;
    this.kinds[position] = kind;
    this.offsets[position] = offset;
    this.ends[position] = end;
    this.values[position] = value;
    return position;
  }

  #grow(): void {
    const capacity = this.length * 2;
    const wider = (from: Uint32Array) => {
      const to = new Uint32Array(capacity);
      to.set(from);
      return to;
    };
    const kinds = new Uint8Array(capacity);
    kinds.set(this.kinds);
    this.kinds = kinds;
    this.offsets = wider(this.offsets);
    this.ends = wider(this.ends);
    this.values = wider(this.values);
  }
}
