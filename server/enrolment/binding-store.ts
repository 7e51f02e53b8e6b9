// What an enrolment writes, in one transaction.

import { recordAudit } from '../audit/audit-store.ts';
import { recordCertificate, revokeCertificatesOf } from '../certificates/certificate-store.ts';
import type { Node } from '../nodes/node.entity.ts';
import { insertNode, rebindNode, type BoundCertificate } from '../nodes/node-store.ts';
import { nextStanding, type Standing } from '../nodes/standing.ts';
import { databaseNowMs } from '../store/now.ts';
import type { EntityManager } from '../store/store.ts';
import { lockEnrolment, storeAnswer } from './enrolment-store.ts';
import type { EnrolmentAnswer } from './enrolment.ts';
import { stateUnknown } from './refusal.ts';

/** How an account gets its certificate; each has its own line in the audit log. */
export type Plan =
  | { readonly kind: 'new'; readonly nodeId: string }
  /** The machine that already is the node: nothing is revoked, its running work counts. */
  | { readonly kind: 'return'; readonly node: Node }
  /** Another key takes over: the older certificates are revoked. */
  | { readonly kind: 'replace'; readonly node: Node };

const ACTION = {
  new: 'NODE_ENROLLED',
  return: 'NODE_RETURNED',
  replace: 'NODE_REPLACED',
} as const satisfies Record<Plan['kind'], string>;

export type Outcome =
  | 'overtaken'
  | { readonly kind: 'answered-before'; readonly answer: EnrolmentAnswer }
  | {
      readonly kind: 'done';
      readonly answer: EnrolmentAnswer;
      readonly standing: Standing;
      readonly revokedSerials: readonly string[];
    };

/** Node, certificate, answer and audit, or nothing at all. Throws STATE_UNKNOWN. */
export async function carryOut(
  em: EntityManager,
  { stateDigest, accountId }: { readonly stateDigest: Uint8Array; readonly accountId: string },
  plan: Plan,
  bound: BoundCertificate,
): Promise<Outcome> {
  const enrolment = await lockEnrolment(em, stateDigest);
  if (enrolment === null) throw stateUnknown();
  if (enrolment.answer !== null) return { kind: 'answered-before', answer: enrolment.answer };
  const written = await writeNode(em, accountId, plan, bound);
  if (written === null) return 'overtaken';
  const { nodeId, standing } = written;
  const holder = { role: 'node', id: nodeId } as const;
  const revokedSerials =
    plan.kind === 'replace' ? await revokeCertificatesOf(em, holder, await databaseNowMs(em)) : [];
  await recordCertificate(em, { ...bound, holder });
  const answer = { ...bound, nodeId };
  await storeAnswer(em, stateDigest, answer);
  await recordAudit(em, {
    actor: `node/${nodeId}`,
    action: ACTION[plan.kind],
    subject: nodeId,
    details: {
      account: accountId,
      serial: bound.serial,
      ...(plan.kind === 'replace' ? { revoked_serials: revokedSerials.join(' ') } : {}),
    },
  });
  return { kind: 'done', answer, standing, revokedSerials };
}

/** Null where the account's node is not what the plan was made for. */
async function writeNode(
  em: EntityManager,
  accountId: string,
  plan: Plan,
  bound: BoundCertificate,
): Promise<{ nodeId: string; standing: Standing } | null> {
  if (plan.kind === 'new') {
    const { nodeId } = plan;
    return (await insertNode(em, { nodeId, accountId }, bound))
      ? { nodeId, standing: 'enrolled' }
      : null;
  }
  const { nodeId, standing: before, certificateSerial: serial } = plan.node;
  const standing = plan.kind === 'replace' ? nextStanding(before, 'replace') : before;
  if (standing === null) throw new Error(`binding '${nodeId}': nothing replaces a ${before} node`);
  const expected = { nodeId, standing: before, serial };
  return (await rebindNode(em, expected, standing, bound)) ? { nodeId, standing } : null;
}
