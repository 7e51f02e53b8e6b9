import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { Pkcs10CertificateRequest } from '@peculiar/x509';

import { expect } from 'chai';

import { EnrolmentService, type RenewRequest } from '#gen/gapjunction/node/v1/enrolment_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

import type { AgentFolder } from '../../../agent/folder.ts';
import { openIdentity } from '../../../agent/identity/identity.ts';
import { readPending } from '../../../agent/identity/identity-file.ts';
import { dropRetiredKeys, renew } from '../../../agent/identity/renew.ts';
import { answerOf } from '../../../agent/jobs/delivery.ts';
import { enrolled, temporaryFolder } from '../../fakes/agent.ts';
import { makeKeys, TestAuthority } from '../../fakes/authority.ts';
import { NODE_ID, OTHER_NODE_ID } from '../../fakes/bill.ts';

describe('renewing a certificate', () => {
  let authority: TestAuthority;
  let folder: AgentFolder;
  let dispose: () => void;
  before(async () => {
    authority = await TestAuthority.create();
  });
  beforeEach(() => {
    ({ folder, dispose } = temporaryFolder());
  });
  afterEach(() => dispose());

  const signal = new AbortController().signal;

  /** A control plane that loses so many answers, and issues for the key that asks otherwise. */
  function controlPlane({ lostAnswers = 0, nodeId = NODE_ID, otherKey = false } = {}) {
    const requests: RenewRequest[] = [];
    const transport = createRouterTransport(({ service }) => {
      service(EnrolmentService, {
        async renew(request) {
          requests.push(request);
          if (requests.length <= lostAnswers) throw new ConnectError('lost', Code.Unavailable);
          const { publicKey } = new Pkcs10CertificateRequest(request.csr);
          const webKey = await publicKey.export(webcrypto);
          const keys = await makeKeys();
          const issued = await authority.node(nodeId, {
            keys: otherKey
              ? keys
              : { ...keys, webCrypto: { ...keys.webCrypto, publicKey: webKey } },
          });
          return {
            identity: {
              nodeId,
              certificateChain: [...issued.chain],
              renewalCounter: request.renewalCounter,
              heartbeatKeys: {
                keyId: 2,
                nodeToControlPlane: new Uint8Array(32).fill(1),
                controlPlaneToNode: new Uint8Array(32).fill(2),
              },
            },
          };
        },
      });
    });
    return { requests, client: createClient(EnrolmentService, transport) };
  }

  it('repeats the very same key and counter after a lost answer, also after a kill', async () => {
    const identity = await enrolled(folder, authority);
    const { client, requests } = controlPlane({ lostAnswers: 2 });
    const options = { client, now: Date.now(), signal };
    for (let kill = 0; kill < 2; kill++) {
      const failed = await renew(folder, openIdentity(folder), options).catch(() => null);
      expect(failed).to.equal(null);
      expect(readPending(folder)?.renewalCounter).to.equal(1);
    }
    const renewed = await renew(folder, openIdentity(folder), options);
    const keys = requests.map(({ csr }) => new Pkcs10CertificateRequest(csr).publicKey.rawData);
    expect(keys[1]).to.deep.equal(keys[0]);
    expect(keys[2]).to.deep.equal(keys[0]);
    expect(requests.map(({ renewalCounter }) => renewalCounter)).to.deep.equal([1n, 1n, 1n]);
    expect(renewed.key.keyId).not.to.deep.equal(identity.key.keyId);
    expect(readPending(folder)).to.equal(null);
    expect(openIdentity(folder).key.keyId).to.deep.equal(renewed.key.keyId);
  });

  it('keeps the old key while an order names it, and no longer', async () => {
    const identity = await enrolled(folder, authority);
    const { client } = controlPlane();
    const renewed = await renew(folder, identity, { client, now: Date.now(), signal });
    expect(renewed.retired.map(({ key }) => key.keyId)).to.deep.equal([identity.key.keyId]);
    expect(dropRetiredKeys(folder, renewed, () => true)).to.equal(renewed);
    const dropped = dropRetiredKeys(folder, renewed, () => false);
    expect(dropped.retired).to.deep.equal([]);
    expect(readdirSync(folder.keyFolder)).to.have.length(1);
  });

  for (const [what, wrong] of [
    ['another node', { nodeId: OTHER_NODE_ID }],
    ['another key', { otherKey: true }],
  ] as const) {
    it(`does not take a certificate for ${what}, and stays what it was`, async () => {
      const identity = await enrolled(folder, authority);
      const { client } = controlPlane(wrong);
      const error = await renew(folder, identity, { client, now: Date.now(), signal }).catch(
        (cause: unknown) => cause,
      );
      expect(error).to.include({ reason: 'CONTROL_PLANE_UNTRUSTED' });
      expect(openIdentity(folder).key.keyId).to.deep.equal(identity.key.keyId);
    });
  }
});

describe('what a failed Complete means', () => {
  const cases: readonly [reason: string, code: Code, kind: string][] = [
    ['TASK_UNKNOWN', Code.NotFound, 'refused'],
    ['ATTEMPT_STALE', Code.FailedPrecondition, 'refused'],
    ['RECEIPT_CHANGED', Code.AlreadyExists, 'refused'],
    ['RECEIPT_INVALID', Code.InvalidArgument, 'refused'],
    ['OUTPUT_MISSING', Code.FailedPrecondition, 'output-missing'],
    ['SETTLEMENT_UNSIGNED', Code.Unavailable, 'unsigned'],
    ['', Code.Unavailable, 'unknown'],
    ['', Code.NotFound, 'unknown'],
    ['SOMETHING_NEW', Code.FailedPrecondition, 'unknown'],
  ];
  for (const [reason, code, kind] of cases) {
    it(`is ${kind} for ${reason || Code[code]}: a receipt is dropped only on a definite word`, () => {
      const error = new ConnectError('', code, undefined, [
        { desc: ErrorInfoSchema, value: { reason } },
      ]);
      expect(answerOf(error).kind).to.equal(kind);
    });
  }
});
