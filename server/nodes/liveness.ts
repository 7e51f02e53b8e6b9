// Whether a node was heard. A small table: live or lost, and what each event does.

/** A node is lost so many granted intervals after its last accepted beat: 60 s at 15 s. */
export const LOST_AFTER_INTERVALS = 4;

export type Liveness =
  | { readonly kind: 'live'; readonly lostAtMs: number }
  /** Also one that never beat. */
  | { readonly kind: 'lost' };

export type LivenessEvent =
  /** A beat was accepted, and granted the node so long until the next. */
  | { readonly kind: 'beat'; readonly atMs: number; readonly grantedIntervalMs: number }
  /** Time passed. */
  | { readonly kind: 'tick'; readonly atMs: number }
  /** This replica came up; it heard nobody meanwhile, so it loses nobody for a full lost-period. */
  | { readonly kind: 'start'; readonly atMs: number; readonly lostPeriodMs: number };

/** The liveness after the event. Only a beat makes a lost node live. */
export function nextLiveness(liveness: Liveness, event: LivenessEvent): Liveness {
  switch (event.kind) {
    case 'beat':
      return { kind: 'live', lostAtMs: event.atMs + lostPeriodMs(event.grantedIntervalMs) };
    case 'tick':
      return liveness.kind === 'live' && event.atMs >= liveness.lostAtMs
        ? { kind: 'lost' }
        : liveness;
    case 'start':
      return liveness.kind === 'live'
        ? { kind: 'live', lostAtMs: event.atMs + event.lostPeriodMs }
        : liveness;
    default:
      return event satisfies never;
  }
}

/** How long after its last accepted beat a node is lost. */
export function lostPeriodMs(grantedIntervalMs: number): number {
  return LOST_AFTER_INTERVALS * grantedIntervalMs;
}
