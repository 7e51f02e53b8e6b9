// What a failed call means to an agent.
import { Code, ConnectError } from '@connectrpc/connect';

import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

/** The reason that the contract documents at the RPC; empty where the failure has none. */
export function reasonOf(error: unknown): string {
  return error instanceof ConnectError ? (error.findDetails(ErrorInfoSchema)[0]?.reason ?? '') : '';
}

/** A fact that goes with the reason, by name. */
export function factOf(error: unknown, name: string): string | null {
  if (!(error instanceof ConnectError)) return null;
  return error.findDetails(ErrorInfoSchema)[0]?.metadata[name] ?? null;
}

/** One line for the log: code, reason and text of the failure. */
export function failureText(error: unknown): string {
  if (!(error instanceof ConnectError))
    return error instanceof Error ? error.message : String(error);
  const reason = reasonOf(error);
  return `${Code[error.code]}${reason === '' ? '' : ` (${reason})`}: ${error.rawMessage}`;
}

const PASSING: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Canceled,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.ResourceExhausted,
  Code.Internal,
  Code.Unknown,
]);

/**
 * Whether the same call may succeed later: the network, a control plane that stops or is overloaded. A cut
 * connection shows as Canceled though nobody here cancelled.
 */
export function isPassing(error: unknown): boolean {
  return error instanceof ConnectError && PASSING.has(error.code);
}

const AWAY: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Canceled, Code.DeadlineExceeded]);

/** As connect-node tells of a connection that broke. */
const BROKEN: ReadonlySet<Code> = new Set([Code.Aborted, Code.Internal]);

/**
 * Whether nobody could answer this call: the control plane, or a part that it needs for it, is away, or its
 * disk is full. That says nothing of the call, so that it is repeated for as long as anybody wants its answer.
 */
export function isAway(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  if (AWAY.has(error.code) || isFull(error)) return true;
  // A control plane gives a reason with every failure, one of its own too.
  return BROKEN.has(error.code) && reasonOf(error) === '';
}

/** With a quota it would be a client's share, which no operator has to make room for. */
function isFull(error: ConnectError): boolean {
  return reasonOf(error) === 'STORAGE_FULL' && factOf(error, 'quota') === null;
}

/** Whether the control plane does not know this node (any more). */
export function isNotAllowed(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied)
  );
}

/** Whether a replica that stops ended this stream: its other calls may still finish on the connection. */
export function isLeaving(error: unknown): boolean {
  return (
    error instanceof ConnectError && error.code === Code.Unavailable && LEAVING.has(reasonOf(error))
  );
}

const LEAVING: ReadonlySet<string> = new Set(['SHUTTING_DOWN']);

/** Whether the control plane can accept no beat for now, from nobody: what keeps beats from replay is away. */
export function isUnheard(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    error.code === Code.Unavailable &&
    reasonOf(error) === 'NONCE_STORE_UNAVAILABLE'
  );
}
