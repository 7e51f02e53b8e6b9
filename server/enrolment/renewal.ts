// Renew: the counter rule, and a certificate for the next key.

import { sameBytes } from '../../protocol/bill/digest.ts';
import { recordAudit } from '../audit/audit-store.ts';
import type { CertificateRequest } from '../certificates/certificate-request.ts';
import { recordCertificate } from '../certificates/certificate-store.ts';
import type { Node } from '../nodes/node.entity.ts';
import { findNode, renewNode } from '../nodes/node-store.ts';
import { notFound } from '../rpc/error.ts';
import type { BindingDeps } from './binding.ts';
import type { EnrolmentAnswer } from './enrolment.ts';
import { issueNodeCertificate } from './node-certificate.ts';
import { keyReused, renewalSuperseded } from './refusal.ts';

export interface Renewal {
  readonly nodeId: string;
  readonly counter: bigint;
  readonly request: CertificateRequest;
  /** SHA-256 of the calling certificate's SubjectPublicKeyInfo. */
  readonly callerKeyId: Uint8Array;
}

export type RenewalRule = 'issue' | 'repeat' | 'reused' | 'superseded';

/**
 * What a renewal is, given the node's row: the next number with a new key is issued, the last number with
 * the last key is answered again, everything else comes from an older copy of the node's files.
 */
export function judgeRenewal(
  node: { readonly renewalCounter: bigint; readonly keyId: Uint8Array },
  renewal: Pick<Renewal, 'counter' | 'callerKeyId'> & {
    readonly request: Pick<CertificateRequest, 'keyId'>;
  },
): RenewalRule {
  const { keyId } = renewal.request;
  const isNewestKey = sameBytes(node.keyId, keyId);
  if (renewal.counter === node.renewalCounter && isNewestKey) return 'repeat';
  if (renewal.counter !== node.renewalCounter + 1n) return 'superseded';
  return isNewestKey || sameBytes(renewal.callerKeyId, keyId) ? 'reused' : 'issue';
}

/** Throws RENEWAL_SUPERSEDED, KEY_REUSED. The older certificates live on until they end. */
export async function renew(deps: BindingDeps, renewal: Renewal): Promise<EnrolmentAnswer> {
  const { store, clock, authority, certificateLifeMs } = deps;
  const { nodeId, counter, request } = renewal;
  const node = await store.read((em) => findNode(em, nodeId));
  if (node === null) throw notFound('the node', nodeId);
  switch (judgeRenewal(node, renewal)) {
    case 'repeat':
      return newestOf(node);
    case 'superseded':
      throw renewalSuperseded(counter, node.renewalCounter + 1n);
    case 'reused':
      throw keyReused();
    case 'issue':
      break;
  }
  const bound = await issueNodeCertificate(authority, {
    nodeId,
    publicKeySpki: request.publicKeySpki,
    nowMs: clock.now(),
    lifeMs: certificateLifeMs,
  });
  const renewed = await store.transaction(async (em) => {
    if (!(await renewNode(em, { nodeId, counter }, bound))) return false;
    await recordCertificate(em, { ...bound, holder: { role: 'node', id: nodeId } });
    await recordAudit(em, {
      actor: `node/${nodeId}`,
      action: 'NODE_RENEWED',
      subject: nodeId,
      details: { serial: bound.serial, renewal_counter: String(counter) },
    });
    return true;
  });
  // Overtaken by the same request sent twice, or by another copy: the row says which.
  return renewed ? { ...bound, nodeId } : answerOfOther(deps, renewal);
}

async function answerOfOther({ store }: BindingDeps, renewal: Renewal): Promise<EnrolmentAnswer> {
  const node = await store.read((em) => findNode(em, renewal.nodeId));
  if (node === null) throw notFound('the node', renewal.nodeId);
  if (judgeRenewal(node, renewal) !== 'repeat') {
    throw renewalSuperseded(renewal.counter, node.renewalCounter + 1n);
  }
  return newestOf(node);
}

function newestOf(node: Node): EnrolmentAnswer {
  const { nodeId, certificate, issuerCertificate, certificateSerial: serial } = node;
  return { nodeId, certificate, issuerCertificate, serial };
}
