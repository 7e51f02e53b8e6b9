import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'chai';

import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';

import { parseAddress } from '../../../agent/control-plane/address.ts';
import { AgentError, type AgentErrorReason } from '../../../agent/error.ts';
import type { AgentFolder } from '../../../agent/folder.ts';
import { openIdentity } from '../../../agent/identity/identity.ts';
import { pinOfFile, pinOfFingerprint } from '../../../agent/identity/pinned-root.ts';
import { connectAccount } from '../../../stripe-simulator/visit.ts';
import { EventRecord, temporaryFolder } from '../../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../../fakes/agent-world.ts';

describe('enrolling a machine with a real control plane', () => {
  let world: AgentWorld;
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(async () => {
    world = await startAgentWorld();
    ({ folder, dispose } = temporaryFolder());
  });
  afterEach(async () => {
    await stopAgents();
    dispose();
    await world.stop();
  });

  it('gives it a certificate for a key that stays here', async () => {
    const identity = await enrolIn(world, folder, { accountName: 'First' });
    expect(openIdentity(folder).nodeId).to.equal(identity.nodeId);
    expect(identity.record.renewalCounter).to.equal(0);
    const [keyFile, ...others] = readdirSync(folder.keyFolder);
    expect(others).to.deep.equal([]);
    expect(statSync(join(folder.keyFolder, keyFile ?? '')).mode & 0o777).to.equal(0o600);
    const nodes = world.controlPlane.clientFor(NodeAdminService, world.controlPlane.operator);
    const { node } = await nodes.getNode({ nodeId: identity.nodeId });
    expect(Buffer.from(node?.keyId ?? [])).to.deep.equal(Buffer.from(identity.key.keyId));
  });

  it('lets it beat, and shows it as live', async () => {
    const identity = await enrolIn(world, folder, { accountName: 'Beating' });
    const agent = startAgent(folder);
    const ready = await agent.record.next('ready');
    expect(ready.nodeId).to.equal(identity.nodeId);
    await agent.stop();
  });

  it('pins the root by its file as well', async () => {
    const caFile = join(folder.path, 'ca.pem');
    writeFileSync(caFile, world.controlPlane.ca);
    const identity = await enrolIn(world, folder, { accountName: 'File', pin: pinOfFile(caFile) });
    expect(identity.nodeId).to.match(/^n-/);
  });

  it('leaves a good identity alone, and makes a new key for the same node with replace', async () => {
    const first = await enrolIn(world, folder, { accountName: 'Twice' });
    await expectError('ALREADY_ENROLLED', enrolIn(world, folder, { accountName: 'Twice' }));
    const second = await enrolIn(world, folder, { accountName: 'Twice', replace: true });
    expect(second.nodeId).to.equal(first.nodeId);
    expect(second.key.keyId).not.to.deep.equal(first.key.keyId);
    expect(readdirSync(folder.keyFolder)).to.have.length(1);
  });

  it('says what to do when the account already has a node', async () => {
    await enrolIn(world, folder, { accountName: 'Bound' });
    const other = temporaryFolder();
    try {
      const error = await expectError(
        'ENROLMENT_REFUSED',
        enrolIn(world, other.folder, { accountName: 'Bound' }),
      );
      expect(error.message).to.include('ALREADY_BOUND').and.to.include('--replace');
      expect(readdirSync(other.folder.keyFolder)).to.deep.equal([]);
    } finally {
      other.dispose();
    }
  });

  it('says that the owner declined', async () => {
    const error = await expectError(
      'ENROLMENT_REFUSED',
      enrolIn(world, folder, { accountName: 'No', decision: 'deny' }),
    );
    expect(error.message).to.include('access_denied');
  });

  it('takes a code from the return page where the owner asks for one', async () => {
    const record = new EventRecord();
    const identity = await enrolIn(world, folder, {
      accountName: 'Pasted',
      returnCode: true,
      record,
      readReturnCode: async () => {
        const { url, keyFingerprint } = await record.next('connect_url');
        const page = await (
          await fetch(await connectAccount(url, { accountName: 'Pasted' }))
        ).text();
        expect(page).to.include(keyFingerprint);
        return /id="code">([^<]+)</.exec(page)?.[1] ?? '';
      },
    });
    expect(identity.nodeId).to.match(/^n-/);
  });

  it('tells nothing to a server whose chain does not lead to the pinned root', async () => {
    await expectError(
      'CONTROL_PLANE_UNTRUSTED',
      enrolIn(world, folder, { pin: pinOfFingerprint(`sha256:${'0'.repeat(64)}`) }),
    );
    expect(readdirSync(folder.keyFolder)).to.deep.equal([]);
  });

  it('says who is not there when nobody listens', async () => {
    await expectError(
      'CONTROL_PLANE_UNREACHABLE',
      enrolIn(world, folder, { addresses: [parseAddress('127.0.0.1:1')] }),
    );
  });

  it('goes to another replica when the first is down', async () => {
    const identity = await enrolIn(world, folder, {
      accountName: 'Second replica',
      addresses: ['127.0.0.1:1', world.controlPlane.server.address].map(parseAddress),
    });
    expect(identity.record.addresses).to.have.length(2);
    const agent = startAgent(folder);
    await agent.record.next('ready');
    await agent.stop();
  });

  it('comes back with the old certificate when it ended less than a week ago', async () => {
    const first = await enrolIn(world, folder, { accountName: 'Weekend' });
    const { notAfterMs } = first.certificate;
    const later = { now: () => notAfterMs + 1_000, after: () => () => {} };
    const record = new EventRecord();
    const error = await expectError(
      'ENROLMENT_REFUSED',
      enrolIn(world, folder, { clock: later, record }),
    );
    // Our control plane lives in the present, in which the certificate has not ended.
    expect(error.message).to.include('CERTIFICATE_UNUSABLE');
    expect(record.events).to.deep.equal([]);
    expect(openIdentity(folder).key.keyId).to.deep.equal(first.key.keyId);
  });

  it('puts no secret into the identity file but the heartbeat keys', async () => {
    const identity = await enrolIn(world, folder, { accountName: 'Secretive' });
    const text = readFileSync(folder.identityFile, 'utf8');
    const secret = identity.key.privateKey.export({ type: 'pkcs8', format: 'der' });
    expect(text).not.to.include(secret.toString('base64').slice(20, 60));
    expect(text).not.to.include('PRIVATE KEY');
  });
});

async function expectError(
  reason: AgentErrorReason,
  enrolment: Promise<unknown>,
): Promise<AgentError> {
  try {
    await enrolment;
  } catch (error) {
    expect(error, String(error)).to.be.instanceOf(AgentError);
    expect((error as AgentError).reason, (error as AgentError).message).to.equal(reason);
    return error as AgentError;
  }
  throw new Error(`It was expected to fail with ${reason}`);
}
