// What the end of a session means: connect again, or stop because that cannot help. A table, no effects.
import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { AgentError } from '../error.ts';
import { certificateStanding, type Validity } from '../identity/renewal.ts';
import type { SessionEnd } from './session.ts';

export type EndVerdict =
  | {
      readonly kind: 'connect-again';
      readonly cause: string;
      /** What to add to this machine's clock, where that is why beats are refused; otherwise null. */
      readonly clockOffsetMs: number | null;
    }
  | { readonly kind: 'stop'; readonly error: AgentError };

export interface EndedNode {
  readonly nodeId: string;
  readonly certificate: Validity;
  /** Unix milliseconds. */
  readonly now: number;
}

export interface EndedLink extends EndedNode {
  /**
   * Whether its Work stream was taken over a moment ago as well. Once may be the echo of an older stream of
   * our own on its way between replicas; twice is another agent of this node.
   */
  readonly wasTakenOver: boolean;
}

export function judgeEnd(end: SessionEnd, node: EndedLink): EndVerdict {
  switch (end.kind) {
    case 'lost':
    case 'leaving':
    case 'unheard':
      return again(end.cause);
    case 'closed':
      return again('the session was closed');
    case 'forged':
      return again(`a frame that is not from our control plane: ${end.problem}`);
    case 'superseded':
      return node.wasTakenOver
        ? { kind: 'stop', error: superseded(node) }
        : again('a newer Work stream of this node took over');
    case 'not-allowed':
      return { kind: 'stop', error: notAllowed(node, end.cause) };
    case 'refused': {
      const cause = `a beat was refused: ${nameOf(end.reason)}`;
      if (end.reason === RefusalReason.NOT_ALLOWED) {
        return { kind: 'stop', error: notAllowed(node, cause) };
      }
      if (end.reason === RefusalReason.SUPERSEDED) {
        return { kind: 'stop', error: superseded(node) };
      }
      const clockIsOff = end.reason === RefusalReason.CLOCK_OUT_OF_WINDOW;
      return again(cause, clockIsOff ? end.clockOffsetMs : null);
    }
    default:
      return end satisfies never;
  }
}

/** The control plane does not know the certificate: it has ended, or was revoked. */
export function notAllowed({ nodeId, certificate, now }: EndedNode, cause: string): AgentError {
  if (certificateStanding(now, certificate) !== 'valid') {
    return new AgentError(
      'IDENTITY_EXPIRED',
      `running the node '${nodeId}': its certificate ended at ${new Date(certificate.notAfterMs).toISOString()}; run 'agent enrol'`,
    );
  }
  return new AgentError(
    'NODE_NOT_ALLOWED',
    `running the node '${nodeId}': the control plane does not accept its certificate (${cause}); it was revoked; run 'agent enrol --replace' to come back`,
  );
}

function superseded({ nodeId }: EndedNode): AgentError {
  return new AgentError(
    'NODE_SUPERSEDED',
    `running the node '${nodeId}': another agent beats as this node; stop one of the two, and run 'agent enrol --replace' here if you do not know the other one`,
  );
}

function again(cause: string, clockOffsetMs: number | null = null): EndVerdict {
  return { kind: 'connect-again', cause, clockOffsetMs };
}

function nameOf(reason: RefusalReason): string {
  const names = Object.entries(RefusalReason) as [string, number][];
  return names.find(([, value]) => value === Number(reason))?.[0] ?? String(reason);
}
