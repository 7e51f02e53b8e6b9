import {
  chmodSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { expect } from 'chai';

import { AgentError } from '../../../agent/error.ts';
import { isFolderLocked, lockFolder, type AgentFolder } from '../../../agent/folder.ts';
import { certificateRequest } from '../../../agent/identity/certificate-request.ts';
import { openIdentity } from '../../../agent/identity/identity.ts';
import { readPending, writePending } from '../../../agent/identity/identity-file.ts';
import {
  eraseOtherKeys,
  generateNodeKey,
  loadNodeKey,
  storeNodeKey,
} from '../../../agent/identity/node-key.ts';
import { enrolled, temporaryFolder } from '../../fakes/agent.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { OTHER_NODE_ID } from '../../fakes/bill.ts';

describe('the identity of a node on disk', () => {
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

  const keyFileOf = (keyId: Uint8Array): string =>
    join(folder.keyFolder, `${Buffer.from(keyId).toString('hex')}.pem`);

  it('comes back as it was, with files that only the owner reads', async () => {
    const identity = await enrolled(folder, authority);
    const again = openIdentity(folder);
    expect(again.nodeId).to.equal(identity.nodeId);
    expect(again.key.keyId).to.deep.equal(identity.key.keyId);
    expect(again.trustDomain).to.equal(authority.trustDomain);
    for (const path of [folder.identityFile, keyFileOf(identity.key.keyId)]) {
      expect(statSync(path).mode & 0o777).to.equal(0o600);
    }
    expect(statSync(folder.path).mode & 0o777).to.equal(0o700);
    expect(readdirSync(folder.path).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
  });

  it('says NOT_ENROLLED where there is none', () => {
    expectError('NOT_ENROLLED');
  });

  const damages: Readonly<Record<string, (keyFile: string) => void>> = {
    'an identity file cut in the middle': () => {
      truncateSync(folder.identityFile, statSync(folder.identityFile).size >> 1);
    },
    'an empty identity file': () => truncateSync(folder.identityFile, 0),
    'an identity file that is another JSON': () => writeFileSync(folder.identityFile, '[1]'),
    'an identity file that others read': () => chmodSync(folder.identityFile, 0o644),
    'a field that is not known': () => change((record) => ({ ...record, more: 1 })),
    'a heartbeat key of the wrong length': () =>
      change((record) => ({
        ...record,
        heartbeat: { keyId: 1, up: 'AAAA', down: 'AAAA' },
      })),
    'another node id than the certificate has': () =>
      change((record) => ({ ...record, nodeId: OTHER_NODE_ID })),
    'a counter that is no counter': () => change((record) => ({ ...record, renewalCounter: -1 })),
    'a key file cut in the middle': (keyFile) => truncateSync(keyFile, 40),
    'a key file that others read': (keyFile) => chmodSync(keyFile, 0o640),
    'a key file with another key': (keyFile) => {
      const other = generateNodeKey();
      storeNodeKey(folder.keyFolder, other);
      writeFileSync(keyFile, readFileSync(keyFileOf(other.keyId)));
    },
    'a key file that is gone': () => eraseOtherKeys(folder.keyFolder, []),
  };
  for (const [damage, apply] of Object.entries(damages)) {
    it(`is refused with a reason for ${damage}`, async () => {
      const { key } = await enrolled(folder, authority);
      apply(keyFileOf(key.keyId));
      const error = expectError('IDENTITY_DAMAGED');
      expect(error.message).to.include(folder.path);
    });
  }

  it('never puts a heartbeat key into the error about its own file', async () => {
    const { record } = await enrolled(folder, authority);
    const secret = Buffer.from(record.heartbeat.up).toString('base64');
    change((text) => ({ ...text, nodeId: 'nobody' }));
    const error = expectError('IDENTITY_DAMAGED');
    expect(`${error.message}${String(error.cause)}`).not.to.include(secret);
  });

  it('keeps the key of a renewal that was begun, for the retry', () => {
    const key = generateNodeKey();
    storeNodeKey(folder.keyFolder, key);
    writePending(folder, { version: 1, keyId: new Uint8Array(key.keyId), renewalCounter: 3 });
    const pending = readPending(folder);
    expect(pending?.renewalCounter).to.equal(3);
    const again = loadNodeKey(folder.keyFolder, pending?.keyId ?? new Uint8Array());
    expect(again.publicKey.equals(key.publicKey)).to.equal(true);
  });

  it('erases keys that never got a certificate, and half-written ones', async () => {
    const { key } = await enrolled(folder, authority);
    storeNodeKey(folder.keyFolder, generateNodeKey());
    writeFileSync(`${keyFileOf(key.keyId)}.0badcafe.new`, 'half');
    eraseOtherKeys(folder.keyFolder, [key.keyId]);
    expect(readdirSync(folder.keyFolder)).to.have.length(1);
    expect(openIdentity(folder).key.keyId).to.deep.equal(key.keyId);
  });

  it('asks for nothing in a certificate request but its own key', async () => {
    const key = generateNodeKey();
    const csr = await certificateRequest(key);
    const spki = key.publicKey.export({ type: 'spki', format: 'der' });
    expect(Buffer.from(csr).includes(spki)).to.equal(true);
    expect(csr.length).to.be.below(300);
  });

  it('lets one agent work in a folder, and the next when it is gone', () => {
    const unlock = lockFolder(folder);
    expect(() => lockFolder(folder)).to.throw(AgentError, /another agent works in it/);
    expect(isFolderLocked(folder)).to.equal(true);
    unlock();
    expect(isFolderLocked(folder)).to.equal(false);
    lockFolder(folder)();
  });

  function change(edit: (record: Record<string, unknown>) => object): void {
    const record = JSON.parse(readFileSync(folder.identityFile, 'utf8')) as Record<string, unknown>;
    writeFileSync(folder.identityFile, JSON.stringify(edit(record)));
  }

  function expectError(reason: AgentError['reason']): AgentError {
    try {
      openIdentity(folder);
    } catch (error) {
      expect(error).to.be.instanceOf(AgentError);
      expect((error as AgentError).reason).to.equal(reason);
      return error as AgentError;
    }
    throw new Error('The identity was opened');
  }
});
