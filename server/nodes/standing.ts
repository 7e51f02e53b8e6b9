// What a node may do. A small table: every standing, every event.

export type Standing = 'enrolled' | 'cordoned' | 'draining' | 'revoked';

export type StandingEvent =
  /** An operator ends its certificates for good. */
  | 'revoke'
  /** An operator gives it nothing new; the node is not told. */
  | 'cordon'
  /** An operator lets it finish what it runs, gives it nothing new, and has it told so. */
  | 'drain'
  /** An operator takes cordon and drain back. */
  | 'uncordon'
  /** Its owner proved the account again, with `replace`. */
  | 'replace';

/** `null`: the event is refused in that standing. */
const TRANSITIONS: Readonly<Record<Standing, Readonly<Record<StandingEvent, Standing | null>>>> = {
  enrolled: {
    revoke: 'revoked',
    cordon: 'cordoned',
    drain: 'draining',
    uncordon: 'enrolled',
    replace: 'enrolled',
  },
  // A new key does not undo what an operator asked for, here and below.
  cordoned: {
    revoke: 'revoked',
    cordon: 'cordoned',
    drain: 'draining',
    uncordon: 'enrolled',
    replace: 'cordoned',
  },
  draining: {
    revoke: 'revoked',
    cordon: 'cordoned',
    drain: 'draining',
    uncordon: 'enrolled',
    replace: 'draining',
  },
  // Only its owner, through Stripe, brings a revoked node back.
  revoked: { revoke: 'revoked', cordon: null, drain: null, uncordon: null, replace: 'enrolled' },
};

/** The standing after the event, or null where it is refused. */
export function nextStanding(standing: Standing, event: StandingEvent): Standing | null {
  return TRANSITIONS[standing][event];
}

/** May be given new work. */
export function takesWork(standing: Standing): boolean {
  return standing === 'enrolled';
}

/** May call and beat at all. */
export function mayCall(standing: Standing): boolean {
  return standing !== 'revoked';
}
