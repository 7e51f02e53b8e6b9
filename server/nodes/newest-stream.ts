// One node, one heartbeat stream: the newest. An older one is not cut but ended by its next beat, and what
// that beat says tells whether somebody else has the node's key.

import { sameBytes } from '../../protocol/bill/digest.ts';

/** The stream whose first beat was accepted last, as the database has it. */
export interface NewestStream {
  readonly streamId: Uint8Array;
  /** Of its first beat, by the node's clock. */
  readonly firstBeatMs: number;
}

/** By id: a claim and the row that it wrote tell of one stream in two objects. */
export function isSameStream(left: NewestStream | null, right: NewestStream | null): boolean {
  if (left === null || right === null) return left === right;
  return left === right || sameBytes(left.streamId, right.streamId);
}

/**
 * What a beat on an older stream is. A node that moved on beats no more where it was, so a beat that it made
 * after the younger stream's first one is another machine's: a clone. One from before was late on its way.
 */
export function judgeOlderBeat(
  { timestampMs }: { readonly timestampMs: number },
  younger: Pick<NewestStream, 'firstBeatMs'>,
): 'clone' | 'late' {
  return timestampMs > younger.firstBeatMs ? 'clone' : 'late';
}
