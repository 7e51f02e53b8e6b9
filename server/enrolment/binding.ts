// One account, one node id, for ever: an account's first enrolment makes the node, each later one gives
// the same node another key.

import { sameBytes } from '../../protocol/bill/digest.ts';
import { makeId } from '../../protocol/identity/ids.ts';
import type { CertificateRequest } from '../certificates/certificate-request.ts';
import type { Revocations } from '../certificates/revocations.ts';
import type { Clock } from '../clock.ts';
import type { Fleet } from '../nodes/fleet.ts';
import { nodeOfAccount } from '../nodes/node-store.ts';
import { RpcError } from '../rpc/error.ts';
import type { Authority } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import { carryOut, type Plan } from './binding-store.ts';
import type { EnrolmentAnswer } from './enrolment.ts';
import { issueNodeCertificate } from './node-certificate.ts';
import { alreadyBound } from './refusal.ts';

export interface BindingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly randomBytes: (bytes: number) => Uint8Array;
  readonly authority: Authority;
  readonly certificateLifeMs: number;
  readonly revocations: Pick<Revocations, 'announce'>;
  readonly fleet: Fleet;
}

export interface Binding {
  readonly stateDigest: Uint8Array;
  readonly accountId: string;
  readonly request: CertificateRequest;
  /** The caller asked for it in the request. */
  readonly replace: boolean;
  /** It proved the key of the node's newest certificate. */
  readonly provedOldKey: boolean;
}

/** Two enrolments of one account may meet; one of them then finds what the other made. */
const MAX_TRIES = 3;

/**
 * Issues the certificate and writes node, certificate, answer and audit in one transaction. Answers what
 * an enrolment of the same key and state was answered meanwhile. Throws ALREADY_BOUND, STATE_UNKNOWN.
 */
export async function bind(deps: BindingDeps, binding: Binding): Promise<EnrolmentAnswer> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const plan = await makePlan(deps, binding);
    const nodeId = plan.kind === 'new' ? plan.nodeId : plan.node.nodeId;
    const bound = await issueNodeCertificate(deps.authority, {
      nodeId,
      publicKeySpki: binding.request.publicKeySpki,
      nowMs: deps.clock.now(),
      lifeMs: deps.certificateLifeMs,
    });
    const outcome = await deps.store.transaction((em) => carryOut(em, binding, plan, bound));
    if (outcome === 'overtaken') continue;
    if (outcome.kind === 'done') {
      deps.fleet.standingChanged(nodeId, outcome.standing);
      deps.revocations.announce(outcome.revokedSerials);
      if (plan.kind === 'replace') deps.fleet.certificatesRevoked(nodeId);
    }
    return outcome.answer;
  }
  throw new RpcError(
    'ABORTED',
    'ENROLMENT_OVERTAKEN',
    `binding the Stripe account '${binding.accountId}': other enrolments of it came between; send the same request again`,
  );
}

async function makePlan({ store, randomBytes }: BindingDeps, binding: Binding): Promise<Plan> {
  const node = await store.read((em) => nodeOfAccount(em, binding.accountId));
  if (node === null) return { kind: 'new', nodeId: makeId('n', randomBytes) };
  const sameMachine =
    node.standing !== 'revoked' &&
    (binding.provedOldKey || sameBytes(node.keyId, binding.request.keyId));
  if (sameMachine) return { kind: 'return', node };
  if (binding.replace) return { kind: 'replace', node };
  throw alreadyBound(binding.accountId);
}
