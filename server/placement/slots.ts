// How many orders a node can take now. The node says how many slots are free; an order that was on its way
// when it said so may or may not be counted in that, so it is taken off until the node speaks again: a slot
// may stay free for a moment, but no order arrives where there is none.

export interface Slots {
  readonly offered: number;
  /** Sent and not acknowledged: the node may not have counted them yet. */
  readonly unacknowledged: ReadonlySet<string>;
  /** Sent since the last offer. */
  readonly taken: number;
}

export const NO_SLOTS: Slots = { offered: 0, unacknowledged: new Set(), taken: 0 };

/** Replaces what was offered before. */
export function offer(slots: Slots, offered: number): Slots {
  // What is on its way now is taken off this offer for good, also once it is acknowledged.
  return { ...slots, offered, taken: slots.unacknowledged.size };
}

export function sent(slots: Slots, attemptId: string): Slots {
  return {
    ...slots,
    unacknowledged: new Set([...slots.unacknowledged, attemptId]),
    taken: slots.taken + 1,
  };
}

/** The node has the order, or it was fenced. Its slot stays taken until the next offer. */
export function settled(slots: Slots, attemptId: string): Slots {
  if (!slots.unacknowledged.has(attemptId)) return slots;
  const unacknowledged = new Set(slots.unacknowledged);
  unacknowledged.delete(attemptId);
  return { ...slots, unacknowledged };
}

export function freeSlots(slots: Slots): number {
  return Math.max(0, slots.offered - slots.taken);
}
