// When a node is lost, judged from what the database says of the whole fleet, in the database's time, so
// that any replica judges alike and a restart changes nothing.
//
//   1. A node is lost when it was silent for its lost-period, and the replica that may have heard it had
//      its time to write that down.
//   2. Nobody is lost in a grace. One begins when no replica judged the fleet for a third of a lost-period:
//      all were down, or paused, or without the database, and whoever was silent may only have lost us.
//   3. Another begins when at least ten nodes, and more than half of those that were live a lost-period ago,
//      fall silent together: that is a network, or us, and their work is better waited for than run again.
//      Once: whoever is silent still when it ends is lost.
//   4. A third lasts as long as no replica can accept a beat, since Redis is away, and a lost-period longer.

/** The fleet's own state beside its nodes'. Unix milliseconds of the database. */
export interface Grace {
  /** Until then nobody loses a node or ends an acknowledged lease. */
  readonly untilMs: number;
  /** When some replica last judged the fleet. */
  readonly observedMs: number;
  /** The present silence has had its grace. */
  readonly isDamped: boolean;
}

/** A node that was not heard for more than half of its lost-period, and is not lost yet. */
export interface SilentNode {
  readonly nodeId: string;
  readonly lastBeatMs: number;
  /** As its last accepted beat granted it. */
  readonly lostPeriodMs: number;
}

export interface Silence {
  readonly nowMs: number;
  readonly silent: readonly SilentNode[];
  /** Nodes that were lost within the last lost-period. */
  readonly lostLately: number;
  /** Nodes that are live, or were a lost-period ago. */
  readonly liveBefore: number;
  /** When a node was heard last, by any replica; null where none was lately. */
  readonly heardMs: number | null;
  /** For how long whoever judges could accept nobody's beat. */
  readonly deafMs: number;
}

export interface LivenessTerms {
  /** At the base interval; a large fleet's nodes have longer ones. */
  readonly lostPeriodMs: number;
  /** A beat stands in the database so long after it was accepted, at most. */
  readonly writtenWithinMs: number;
}

export interface Judgement {
  readonly grace: Grace;
  /** The database's clock was set back: beats from its future count as heard now. */
  readonly isSetBack: boolean;
  readonly lose: readonly SilentNode[];
}

/** Fewer nodes fall silent together by chance: one owner's, say. */
export const LEAST_NODES_TO_DAMP = 10;

/** Of a lost-period: with nobody to hear them for so long, nodes are not to blame. */
const UNOBSERVED_PART = 1 / 3;
/** Of its lost-period: two beats missed in a row. */
export const SILENT_PART = 1 / 2;
/** In lost-periods: no grace that we give is longer, so one that is was given by a clock that went back. */
const LONGEST_GRACE = 2;

/** Less is a clock being corrected, and moves no loss by more than that. */
const SET_BACK_MS = 2_000;

/** Whether nobody judged the fleet for so long that the next judgement gives a grace. */
function isUnobserved(
  { observedMs }: Pick<Grace, 'observedMs'>,
  nowMs: number,
  lostPeriodMs: number,
): boolean {
  return nowMs - observedMs > lostPeriodMs * UNOBSERVED_PART;
}

/**
 * Until when no acknowledged lease ends. Whoever ends leases may look before the fleet is judged, when the
 * database is there again: a grace that the next judgement gives holds for him already.
 */
export function leasesHoldUntilMs(
  grace: Pick<Grace, 'untilMs' | 'observedMs'>,
  nowMs: number,
  lostPeriodMs: number,
): number {
  if (!isUnobserved(grace, nowMs, lostPeriodMs)) return grace.untilMs;
  return Math.max(grace.untilMs, nowMs + lostPeriodMs);
}

/** What the silence means now. Pure: the same rows and time give the same answer on every replica. */
export function judgeSilence(before: Grace, silence: Silence, terms: LivenessTerms): Judgement {
  const { nowMs, silent } = silence;
  const lostPeriodMs = silent.reduce(
    (longest, node) => Math.max(longest, node.lostPeriodMs),
    terms.lostPeriodMs,
  );
  const isMass = isMassSilence(silence);
  const isSetBack = before.observedMs - nowMs > SET_BACK_MS;
  const grace: Grace = {
    // Of a clock that was set back, what was left of it then is left now, and no grace that was over begins anew.
    untilMs: isSetBack
      ? nowMs + Math.max(0, before.untilMs - before.observedMs)
      : Math.min(before.untilMs, nowMs + LONGEST_GRACE * lostPeriodMs),
    observedMs: nowMs,
    isDamped: before.isDamped && isMass,
  };
  const unobservedMs = lostPeriodMs * UNOBSERVED_PART;
  // Where another replica hears nodes, they can go there.
  const isDeaf =
    silence.deafMs > unobservedMs && nowMs - (silence.heardMs ?? -Infinity) > unobservedMs;
  if (isDeaf || isUnobserved(before, nowMs, lostPeriodMs)) {
    const untilMs = Math.max(grace.untilMs, nowMs + lostPeriodMs);
    return { grace: { ...grace, untilMs, isDamped: true }, isSetBack, lose: [] };
  }
  if (nowMs < grace.untilMs) return { grace, isSetBack, lose: [] };
  const due = silent.filter((node) => lostAtMs(node, terms) <= nowMs);
  if (due.length > 0 && isMass && !grace.isDamped) {
    const lastDueMs = silent.reduce((last, node) => Math.max(last, lostAtMs(node, terms)), 0);
    return {
      grace: { ...grace, untilMs: lastDueMs + lostPeriodMs, isDamped: true },
      isSetBack,
      lose: [],
    };
  }
  return { grace, isSetBack, lose: due };
}

/** When a node is lost that stays silent, where there is no grace. */
export function lostAtMs(
  { lastBeatMs, lostPeriodMs }: Pick<SilentNode, 'lastBeatMs' | 'lostPeriodMs'>,
  { writtenWithinMs }: Pick<LivenessTerms, 'writtenWithinMs'>,
): number {
  return lastBeatMs + lostPeriodMs + writtenWithinMs;
}

/** Those that fell silent within the last lost-period, or were lost in it, against all that were live before. */
function isMassSilence({ nowMs, silent, lostLately, liveBefore }: Silence): boolean {
  const fell = silent.filter(
    ({ lastBeatMs, lostPeriodMs }) => nowMs - lastBeatMs <= 2 * lostPeriodMs,
  );
  const together = fell.length + lostLately;
  return together >= LEAST_NODES_TO_DAMP && together > liveBefore / 2;
}
