// Whether a node was heard. A small table: live or lost, and what each event does.

export type Liveness =
  | { readonly kind: 'live'; readonly lostAtMs: number }
  /** Also one that never beat. */
  | { readonly kind: 'lost' };

export type LivenessEvent =
  /** A beat was accepted; a node that is silent for a lost-period from now is lost. */
  | { readonly kind: 'beat'; readonly atMs: number; readonly lostPeriodMs: number }
  /** Time passed. */
  | { readonly kind: 'tick'; readonly atMs: number }
  /** This replica came up; it heard nobody meanwhile, so it loses nobody for a full lost-period. */
  | { readonly kind: 'start'; readonly atMs: number; readonly lostPeriodMs: number };

/** The liveness after the event. Only a beat makes a lost node live. */
export function nextLiveness(liveness: Liveness, event: LivenessEvent): Liveness {
  switch (event.kind) {
    case 'beat':
      return { kind: 'live', lostAtMs: event.atMs + event.lostPeriodMs };
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
