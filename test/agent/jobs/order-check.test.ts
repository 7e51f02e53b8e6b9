import { expect } from 'chai';

import { Entry } from '#gen/gapjunction/job/v1/bill_pb';

import { signingKeyOf, type NodeIdentity } from '../../../agent/identity/identity.ts';
import { checkOrder, type OrderTerms } from '../../../agent/jobs/order-check.ts';
import { Signers } from '../../../agent/jobs/signers.ts';
import { digest } from '../../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE } from '../../../protocol/bill/envelope.ts';
import { DEFAULT_LIMITS, MAX_LIMITS } from '../../../protocol/bill/limits.ts';
import {
  CLIENT_AUTH_EKU_OID,
  SERVER_AUTH_EKU_OID,
} from '../../../protocol/identity/certificate.ts';
import { enrolled, signedOrder, temporaryFolder } from '../../fakes/agent.ts';
import { TestAuthority, type IssuedCertificate } from '../../fakes/authority.ts';
import { OTHER_NODE_ID } from '../../fakes/bill.ts';

describe('an order, before it is acknowledged', () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let signer: IssuedCertificate;
  let identity: NodeIdentity;
  let terms: OrderTerms;
  let dispose: () => void;

  before(async () => {
    authority = await TestAuthority.create();
    stranger = await TestAuthority.create();
    signer = await authority.signer();
    const temporary = temporaryFolder();
    dispose = temporary.dispose;
    identity = await enrolled(temporary.folder, authority);
    terms = {
      nodeId: identity.nodeId,
      signers: new Signers(identity),
      signingKeyOf: (keyId) => signingKeyOf(identity, keyId),
      profiles: new Map([['gj-0', digest(Buffer.from('profile'))]]),
      mostLimits: MAX_LIMITS,
      mostModuleBytes: 16 * 2 ** 20,
      mostInputBytes: 64 * 2 ** 20,
    };
  });
  after(() => dispose());

  const keyId = (): Uint8Array => identity.key.keyId;
  const ofSigner = async (issued: Promise<IssuedCertificate>) => signedOrder(await issued, keyId());

  it('is accepted when the control plane signed it for this node', async () => {
    const verdict = checkOrder(await signedOrder(signer, keyId()), terms, Date.now());
    expect(verdict.kind).to.equal('accept');
  });

  it('is accepted once more from the signer that is known, with one check of a signature', async () => {
    const order = await signedOrder(signer, keyId());
    const now = Date.now();
    const first = terms.signers.check(signer.chain, now);
    expect(checkOrder(order, terms, now).kind).to.equal('accept');
    const second = terms.signers.check(signer.chain, now + 1_000);
    expect(second.ok && first.ok && second.signer === first.signer).to.equal(true);
  });

  it('carries the id of the call that submitted the job, unless it could forge a line of the log', async () => {
    const ids: string[] = [];
    for (const requestId of ['order-7.client_a', '', 'two\nlines', 'x'.repeat(65)]) {
      const order = await signedOrder(signer, keyId(), { order: { requestId } });
      const verdict = checkOrder(order, terms, Date.now());
      ids.push(verdict.kind === 'accept' ? verdict.accepted.requestId : verdict.problem);
    }
    expect(ids).to.deep.equal(['order-7.client_a', '', '', '']);
  });

  type Case = readonly [rule: string, order: () => ReturnType<typeof signedOrder>];
  const limits = { ...DEFAULT_LIMITS };
  const hostile: Readonly<Record<string, Case>> = {
    'no envelope': [
      'envelope',
      () => signedOrder(signer, keyId(), { order: { envelope: undefined } }),
    ],
    'no chain': ['signer', () => signedOrder(signer, keyId(), { order: { signerChain: [] } })],
    'a chain of garbage': [
      'signer',
      () => signedOrder(signer, keyId(), { order: { signerChain: [Buffer.from('garbage')] } }),
    ],
    'a signer of another authority': ['signer', () => ofSigner(stranger.signer())],
    'a signer that signed itself': [
      'signer',
      () => ofSigner(authority.signer({ selfSigned: true })),
    ],
    'a signer without the usage for signing': [
      'signer',
      () => ofSigner(authority.signer({ extendedKeyUsages: [CLIENT_AUTH_EKU_OID] })),
    ],
    'the certificate of the server': [
      'signer',
      () => ofSigner(authority.server(['localhost'], { extendedKeyUsages: [SERVER_AUTH_EKU_OID] })),
    ],
    'the certificate of a client': [
      'signer',
      () => ofSigner(authority.client(`c-${'a'.repeat(20)}`)),
    ],
    'the certificate of the node itself': [
      'signer',
      () => ofSigner(authority.node(identity.nodeId)),
    ],
    'a signer that has expired': [
      'signer',
      () => ofSigner(authority.signer({ notAfter: new Date(Date.now() - 5_000) })),
    ],
    'a signer of another trust domain': [
      'signer',
      () => ofSigner(authority.signer({ uris: ['spiffe://elsewhere/control-plane/signer'] })),
    ],
    'the chain of a signer that did not sign it': [
      'signature',
      async () => {
        const other = await authority.signer();
        return signedOrder(other, keyId(), { order: { signerChain: [...signer.chain] } });
      },
    ],
    'the type of a settlement': [
      'signature',
      () => signedOrder(signer, keyId(), { payloadType: PAYLOAD_TYPE.settlement }),
    ],
    'one bit changed': [
      'signature',
      async () => {
        const order = await signedOrder(signer, keyId());
        const byte = order.envelope?.payload[40] ?? 0;
        order.envelope?.payload.set([byte ^ 1], 40);
        return order;
      },
    ],
    'bytes that are no order': [
      'content',
      async () => {
        const { signEnvelope } = await import('../../../protocol/bill/envelope.ts');
        const envelope = await signEnvelope({
          payloadType: PAYLOAD_TYPE.workOrder,
          payload: Buffer.from([0xff, 0xff]),
          signer: signer.signer,
        });
        return signedOrder(signer, keyId(), { order: { envelope } });
      },
    ],
    'another node': [
      'node',
      () => signedOrder(signer, keyId(), { terms: { nodeId: OTHER_NODE_ID } }),
    ],
    'a key that the node has not': ['key', () => signedOrder(signer, digest(Buffer.from('key')))],
    'an end that has passed': [
      'time',
      () => signedOrder(signer, keyId(), { terms: { expiresMs: BigInt(Date.now() - 1) } }),
    ],
    'a begin that has not come': [
      'time',
      () => signedOrder(signer, keyId(), { terms: { notBeforeMs: BigInt(Date.now() + 50_000) } }),
    ],
    'a profile that is not known': [
      'profile',
      () => signedOrder(signer, keyId(), { terms: { profile: 'gj-9' } }),
    ],
    'another document of a known profile': [
      'profile',
      () => signedOrder(signer, keyId(), { terms: { profileDigest: digest(Buffer.from('x')) } }),
    ],
    'more memory than this machine gives': [
      'limits',
      () =>
        signedOrder(signer, keyId(), {
          terms: { limits: { ...limits, memoryBytes: MAX_LIMITS.memoryBytes + 1n } },
        }),
    ],
    'a longer deadline than this machine gives': [
      'limits',
      () =>
        signedOrder(signer, keyId(), {
          terms: { limits: { ...limits, deadlineEpochs: MAX_LIMITS.deadlineEpochs + 1 } },
        }),
    ],
    'a module that is too large': [
      'limits',
      () =>
        signedOrder(signer, keyId(), {
          terms: { module: { digest: digest(Buffer.from('m')), sizeBytes: 2n ** 25n } },
        }),
    ],
    'an inline input of another length': [
      'input',
      () => signedOrder(signer, keyId(), { order: { inlineInput: Buffer.from('inputs') } }),
    ],
    'an inline input of another content': [
      'input',
      () => signedOrder(signer, keyId(), { order: { inlineInput: Buffer.from('INPUT') } }),
    ],
  };
  for (const [what, [rule, make]] of Object.entries(hostile)) {
    it(`is refused with its reason for ${what}`, async () => {
      const verdict = checkOrder(await make(), terms, Date.now());
      expect(verdict).to.include({ kind: 'refuse', rule });
      expect((verdict as { problem: string }).problem).not.to.equal('');
    });
  }

  it('is judged by its key also when the key was replaced meanwhile', async () => {
    const temporary = temporaryFolder();
    try {
      const renewed = await enrolled(temporary.folder, authority);
      const both: NodeIdentity = { ...renewed, retired: [identity] };
      const order = await signedOrder(signer, keyId(), { terms: { entry: Entry.RUN } });
      const verdict = checkOrder(
        order,
        { ...terms, signingKeyOf: (id) => signingKeyOf(both, id) },
        Date.now(),
      );
      if (verdict.kind !== 'accept') throw new Error(verdict.problem);
      expect(verdict.accepted.signingKey.key.keyId).to.deep.equal(keyId());
    } finally {
      temporary.dispose();
    }
  });

  it('looks at a signer anew when its verdict is a minute old', async () => {
    const brief = await authority.signer({ notAfter: new Date(Date.now() + 30_000) });
    const now = Date.now();
    const signers = new Signers(identity);
    expect(signers.check(brief.chain, now).ok).to.equal(true);
    expect(signers.check(brief.chain, now + 61_000).ok).to.equal(false);
  });
});
