import { createHmac, verify, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readCertificate, SIGNING_EKU_OID } from '../../../protocol/identity/certificate.ts';
import { verifyChain } from '../../../protocol/identity/chain.ts';
import { openFileSecrets } from '../../../server/secrets/file-secrets.ts';
import { makeKey } from '../../../server/secrets/issue.ts';

const TRUST_DOMAIN = 'test.gap-junction';
const DAY_MS = 24 * 3600 * 1000;
const NOW_MS = Date.UTC(2026, 0, 1);
const SECRET_FILES = [
  'heartbeat-master.key',
  'intermediate.crt',
  'intermediate.key',
  'isolation.key',
  'root.crt',
  'root.key',
  'signer.key',
];

describe('secrets in files', () => {
  let dataDir: string;
  const open = (options: { nowMs?: number; inUse?: boolean; trustDomain?: string } = {}) =>
    openFileSecrets({
      dataDir,
      trustDomain: TRUST_DOMAIN,
      nowMs: NOW_MS,
      inUse: false,
      ...options,
    });
  const path = (name: string) => join(dataDir, 'secrets', name);

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-secrets-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  it('are made on the first start, readable by their owner alone', async () => {
    await open();
    expect(readdirSync(join(dataDir, 'secrets')).toSorted()).to.deep.equal(SECRET_FILES);
    for (const name of SECRET_FILES) expect(statSync(path(name)).mode & 0o777).to.equal(0o600);
    expect(statSync(join(dataDir, 'secrets')).mode & 0o777).to.equal(0o700);
  });

  it('are the same after another start, without the root key too', async () => {
    const first = await open();
    rmSync(path('root.key'));
    const second = await open({ nowMs: NOW_MS + 100 * DAY_MS, inUse: true });
    expect(second.signer.keyId).to.deep.equal(first.signer.keyId);
    expect(second.authority.rootCertificate).to.deep.equal(first.authority.rootCertificate);
    expect(second.isolationSecret).to.deep.equal(first.isolationSecret);
    const bytes = Buffer.from('x');
    expect(await second.heartbeatMaster.hmac(bytes)).to.deep.equal(
      await first.heartbeatMaster.hmac(bytes),
    );
  });

  it('sign orders under a certificate that is for nothing else and covers what was signed before', async () => {
    const { authority, signer } = await open();
    const later = await open({ nowMs: NOW_MS + 300 * DAY_MS });
    for (const [chain, atMs] of [
      [signer.chain, NOW_MS],
      [later.signer.chain, NOW_MS],
      [later.signer.chain, NOW_MS + 300 * DAY_MS],
    ] as const) {
      const root = new X509Certificate(authority.rootCertificate);
      const verdict = verifyChain({ chain, root, atMs });
      if (!verdict.ok) throw new Error(verdict.problem);
      expect(verdict.leaf.extendedKeyUsages).to.deep.equal([SIGNING_EKU_OID]);
      expect(verdict.leaf.uriNames).to.deep.equal([
        `spiffe://${TRUST_DOMAIN}/control-plane/signer`,
      ]);
    }
    const message = Buffer.from('order');
    const signature = await signer.sign(message);
    expect(signature).to.have.length(64);
    const key = new X509Certificate(signer.chain[0] ?? '').publicKey;
    expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)).to.equal(true);
  });

  it('issue what is asked for and nothing that outlives the issuer', async () => {
    const { authority } = await open();
    const { publicKeySpki } = await makeKey();
    const request = {
      publicKeySpki,
      commonName: 'n-aaaaaaaaaaaaaaaaaaaa',
      spiffePath: 'node/n-aaaaaaaaaaaaaaaaaaaa',
      usage: 'client',
      notBeforeMs: NOW_MS,
      notAfterMs: NOW_MS + DAY_MS,
    } as const;
    const issued = await authority.issue(request);
    const leaf = readCertificate(issued.certificate);
    expect(leaf.isAuthority).to.equal(false);
    expect(leaf.notAfterMs).to.equal(NOW_MS + DAY_MS);
    expect(issued.serial).to.match(/^[4-7][0-9a-f]{31}$/);
    const wrongs = [
      { ...request, notAfterMs: NOW_MS },
      { ...request, notAfterMs: NOW_MS + 100 * 365 * DAY_MS },
      { ...request, spiffePath: 'admin/o-aaaaaaaaaaaaaaaaaaaa' },
      { ...request, spiffePath: 'node/n-aaaaaaaaaaaaaaaaaaaa/x' },
    ];
    for (const wrong of wrongs) {
      const outcome = await authority.issue(wrong).catch((error: Error) => error.message);
      expect(outcome).to.be.a('string');
    }
  });

  it('keyed as the documents say', async () => {
    const { heartbeatMaster } = await open();
    const key = Buffer.from(readFileSync(path('heartbeat-master.key'), 'utf8').trim(), 'hex');
    expect(await heartbeatMaster.hmac(Buffer.from('x'))).to.deep.equal(
      createHmac('sha256', key).update('x').digest(),
    );
  });

  const wrongs: readonly [string, string, () => void][] = [
    ['others may read', 'chmod 600', () => chmodSync(path('signer.key'), 0o640)],
    ['is missing', 'it is missing', () => rmSync(path('isolation.key'))],
    ['is empty', 'has 0 bytes', () => truncateSync(path('intermediate.key'))],
    ['is cut off', 'no ECDSA P-256 key', () => truncateSync(path('signer.key'), 100)],
    ['holds too few bytes', 'does not hold 32', () => truncateSync(path('isolation.key'), 40)],
    ['holds no certificate', 'no certificate', () => writeFileSync(path('root.crt'), 'x')],
    [
      "is another one's key",
      'it is not the key of',
      () => writeFileSync(path('intermediate.key'), readFileSync(path('signer.key'))),
    ],
    [
      "is another one's certificate",
      'has not issued it',
      () => writeFileSync(path('root.crt'), readFileSync(path('intermediate.crt'))),
    ],
  ];
  for (const [what, problem, damage] of wrongs) {
    it(`are refused, with the file's name, when one ${what}`, async () => {
      await open();
      damage();
      const message = await open().catch((error: Error) => error.message);
      expect(message).to.contain(problem).and.to.contain(join(dataDir, 'secrets'));
      expect(message).not.to.contain('PRIVATE KEY');
    });
  }

  it('of another trust domain are refused', async () => {
    await open();
    const message = await open({ trustDomain: 'other.example' }).catch(
      (error: Error) => error.message,
    );
    expect(message).to.contain('belongs to another trust domain');
  });

  it('are not made anew when the database was used with others', async () => {
    const message = await open({ inUse: true }).catch((error: Error) => error.message);
    expect(message).to.contain("put the folder 'secrets' back");
    expect(readdirSync(dataDir)).to.deep.equal([]);
  });

  it('of an expired intermediate are refused with what to do', async () => {
    await open();
    const message = await open({ nowMs: NOW_MS + 6 * 365 * DAY_MS }).catch(
      (error: Error) => error.message,
    );
    expect(message).to.contain('issued anew under the root key');
  });

  it('half made by a killed first start are made anew', async () => {
    const half = join(dataDir, 'secrets.new-0123456789ab');
    mkdirSync(half);
    writeFileSync(join(half, 'root.key'), 'half');
    await open();
    expect(readdirSync(dataDir)).to.deep.equal(['secrets']);
  });
});
