// Which postings each event of a client's or node's money makes. Double entry: an amount leaves one
// account and arrives in another, so the postings of a transaction sum to zero, and so do all together.
//
//   credit   operator_funding  -> client_available
//   hold     client_available  -> client_held
//   settle   client_held       -> node_pending, platform_revenue, and the rest back to client_available
//   release  client_held       -> client_available
//
// Accounts of clients and nodes show what we owe them; operator_funding goes below zero by what
// operators gave away, which is the one place where money enters the books.

export const ACCOUNTS = [
  'client_available',
  'client_held',
  'node_pending',
  'platform_revenue',
  'operator_funding',
] as const;

export type Account = (typeof ACCOUNTS)[number];

/** One line of a transaction: what an account gains (or, below zero, loses). */
export interface Posting {
  readonly account: Account;
  /** The client, node or operator whose account it is; '' for the platform's own. */
  readonly holderId: string;
  readonly microcents: bigint;
}

export type LedgerEvent =
  | {
      readonly kind: 'credit';
      readonly clientId: string;
      readonly operatorId: string;
      readonly requestId: string;
      readonly microcents: bigint;
    }
  | {
      readonly kind: 'hold';
      readonly clientId: string;
      readonly jobId: string;
      readonly microcents: bigint;
    }
  | {
      readonly kind: 'settle';
      readonly clientId: string;
      readonly jobId: string;
      readonly nodeId: string;
      /** What was held: the charge comes out of it, the rest goes back. */
      readonly heldMicrocents: bigint;
      readonly chargeMicrocents: bigint;
      readonly nodeShareMicrocents: bigint;
    }
  | {
      readonly kind: 'release';
      readonly clientId: string;
      readonly jobId: string;
      readonly heldMicrocents: bigint;
    };

export const LEDGER_KINDS = ['credit', 'hold', 'settle', 'release'] as const;

/** The most that one credit, hold or charge may move: 10^15, ten million dollars. */
export const MAX_MOVED_MICROCENTS = 10n ** 15n;

/** The most that one balance may hold: 10^18, so that sums of a few stay far inside a signed 64-bit. */
export const MAX_BALANCE_MICROCENTS = 10n ** 18n;

/**
 * The key under which an event is posted, once and never again. A credit's is the operator's own, so
 * that one request id with another client is seen as another body.
 */
export function transactionKey(
  event:
    | Pick<Extract<LedgerEvent, { kind: 'credit' }>, 'kind' | 'operatorId' | 'requestId'>
    | { readonly kind: 'hold' | 'settle' | 'release'; readonly jobId: string },
): string {
  return event.kind === 'credit'
    ? `credit:${event.operatorId}:${event.requestId}`
    : `${event.kind}:${event.jobId}`;
}

/**
 * The postings of an event. They sum to zero whatever the amounts are.
 * Throws a RangeError for an amount below zero or above its bound, a charge above the hold, or a share
 * above the charge.
 */
export function postingsOf(event: LedgerEvent): readonly Posting[] {
  switch (event.kind) {
    case 'credit': {
      requireAmount('a credit', event.microcents, MAX_MOVED_MICROCENTS);
      return [
        line('operator_funding', event.operatorId, -event.microcents),
        line('client_available', event.clientId, event.microcents),
      ];
    }
    case 'hold': {
      requireAmount('a hold', event.microcents, MAX_MOVED_MICROCENTS);
      return [
        line('client_available', event.clientId, -event.microcents),
        line('client_held', event.clientId, event.microcents),
      ];
    }
    case 'settle': {
      const { heldMicrocents, chargeMicrocents, nodeShareMicrocents } = event;
      requireAmount('a hold', heldMicrocents, MAX_MOVED_MICROCENTS);
      requireAmount('a charge', chargeMicrocents, heldMicrocents);
      requireAmount('a node share', nodeShareMicrocents, chargeMicrocents);
      return [
        line('client_held', event.clientId, -heldMicrocents),
        line('client_available', event.clientId, heldMicrocents - chargeMicrocents),
        line('node_pending', event.nodeId, nodeShareMicrocents),
        line('platform_revenue', '', chargeMicrocents - nodeShareMicrocents),
      ];
    }
    case 'release': {
      requireAmount('a hold', event.heldMicrocents, MAX_MOVED_MICROCENTS);
      return [
        line('client_held', event.clientId, -event.heldMicrocents),
        line('client_available', event.clientId, event.heldMicrocents),
      ];
    }
    default:
      return event satisfies never;
  }
}

function line(account: Account, holderId: string, microcents: bigint): Posting {
  return { account, holderId, microcents };
}

/** Throws a RangeError unless 0 <= microcents <= most. */
export function requireAmount(what: string, microcents: bigint, most: bigint): void {
  if (microcents < 0n || microcents > most) {
    throw new RangeError(
      `posting ${what} of ${microcents} microcents: it has to be between 0 and ${most}`,
    );
  }
}
