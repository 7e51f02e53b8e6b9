// What the wire must not show: a beat that is taken twice, one that no replica may believe, an older stream
// of a node heard long after a newer one.
import type { BeatRecord } from '../beat-record.ts';
import type { SharedNonces } from '../nonces.ts';
import { CONFIG } from '../replica.ts';

/**
 * Announcements may be lost; each replica then reads the newest streams by itself every few seconds. One that
 * was paused, or cut off from the database, cannot: it takes beats for half of a lost-period at most.
 */
const NEWS_MS =
  (CONFIG.heartbeat.lostAfterIntervals * CONFIG.heartbeat.baseIntervalMs) / 2 + 10_000;

export function checkBeats(beats: BeatRecord, nonces: SharedNonces): readonly string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  /** By node: the newest stream that was heard, and since when. */
  const newest = new Map<string, { readonly stream: number; readonly sinceMs: number }>();
  for (const { nodeId, nonce, stream, atMs } of beats.accepted) {
    if (seen.has(nonce)) problems.push(`a beat of '${nodeId}' was accepted twice`);
    seen.add(nonce);
    if (!nonces.claimed.has(nonce)) problems.push(`a beat of '${nodeId}' was taken unclaimed`);
    const known = newest.get(nodeId);
    if (known === undefined || stream > known.stream) newest.set(nodeId, { stream, sinceMs: atMs });
    else if (stream < known.stream && atMs - known.sinceMs > NEWS_MS) {
      problems.push(
        `an older stream of '${nodeId}' was heard ${atMs - known.sinceMs} ms after a newer one`,
      );
    }
  }
  for (const nonce of beats.tampered) {
    if (seen.has(nonce)) problems.push('a beat with a MAC that does not hold was accepted');
    if (nonces.claimed.has(nonce))
      problems.push('a beat with a MAC that does not hold burned a nonce');
  }
  return problems;
}
