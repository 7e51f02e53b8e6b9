import 'reflect-metadata';

import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import fc from 'fast-check';

import {
  CLIENT_AUTH_EKU_OID,
  readCertificate,
  SIGNING_EKU_OID,
  spiffeNameOf,
} from '../../../protocol/identity/certificate.ts';
import { MAX_CHAIN_CERTIFICATES, verifyChain } from '../../../protocol/identity/chain.ts';
import { DerReader, dottedOid, MalformedDer } from '../../../protocol/identity/der.ts';
import { keyIdOf } from '../../../protocol/identity/key-id.ts';
import { serialHex } from '../../../protocol/identity/serial.ts';
import { makeKeys, TestAuthority, type LeafOptions } from '../../fakes/authority.ts';

const NODE_ID = `n-${'b'.repeat(20)}`;
const OTHER_ID = `o-${'c'.repeat(20)}`;

describe('a certificate', () => {
  let authority: TestAuthority;
  before(async () => {
    authority = await TestAuthority.create();
  });

  it('speaks for the one name that it has', async () => {
    const { certificate } = await authority.node(NODE_ID);
    expect(spiffeNameOf(certificate)).to.deep.equal({
      trustDomain: authority.trustDomain,
      identity: { role: 'node', id: NODE_ID },
    });
  });

  it('is read as Node reads it: serial, times, usages, key', async () => {
    const { certificate, keys } = await authority.signer();
    const read = readCertificate(certificate.raw);
    expect(serialHex(read.serial)).to.equal(serialHex(certificate.serialNumber));
    expect(read.notAfterMs).to.equal(certificate.validToDate.getTime());
    expect(read.extendedKeyUsages).to.deep.equal([SIGNING_EKU_OID]);
    expect(Buffer.from(read.keyId)).to.deep.equal(Buffer.from(keyIdOf(keys.publicKey)!));
    expect(read.keyUsage).to.deep.equal({ digitalSignature: true, keyCertSign: false });
    expect(read.isAuthority).to.equal(false);
  });

  const node = (trustDomain: string): string => `spiffe://${trustDomain}/node/${NODE_ID}`;
  const nobody: readonly [string, (trustDomain: string) => LeafOptions][] = [
    ['no name', () => ({})],
    ['a host name only', () => ({ dnsNames: ['localhost'] })],
    ['two names', (td) => ({ uris: [node(td), `spiffe://${td}/operator/${OTHER_ID}`] })],
    ['one name twice', (td) => ({ uris: [node(td), node(td)] })],
    ['a second URI that is none of ours', (td) => ({ uris: [node(td), 'https://example.org/'] })],
    ['a name of another kind of id', (td) => ({ uris: [`spiffe://${td}/operator/${NODE_ID}`] })],
    ['the name in its subject only', (td) => ({ commonName: node(td) })],
    ['a host name that prints like a name', (td) => ({ dnsNames: [`x, URI:${node(td)}`] })],
  ];
  for (const [title, options] of nobody) {
    it(`with ${title} speaks for nobody`, async () => {
      const { certificate } = await authority.issue(options(authority.trustDomain));
      expect(spiffeNameOf(certificate)).to.equal(null);
    });
  }

  it('with a critical extension that nobody knows, or one twice, is refused', async () => {
    const unknown = new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]));
    const critical = await authority.node(NODE_ID, { extensions: [unknown] });
    expect(() => readCertificate(critical.certificate)).to.throw(MalformedDer, '1.2.3.4');

    const again = new x509.ExtendedKeyUsageExtension([SIGNING_EKU_OID]);
    const twice = await authority.node(NODE_ID, { extensions: [again] });
    expect(() => readCertificate(twice.certificate)).to.throw(MalformedDer, 'twice');
    expect(spiffeNameOf(twice.certificate)).to.equal(null);
  });

  it('cut off at any byte is refused in one way', async () => {
    const [der] = (await authority.node(NODE_ID)).chain;
    for (let length = 0; length < der!.length; length++) {
      expect(() => readCertificate(der!.subarray(0, length)), String(length)).to.throw(
        MalformedDer,
      );
    }
    expect(() => readCertificate(Buffer.concat([der!, Buffer.of(0)]))).to.throw(MalformedDer);
    expect(() => readCertificate(new Uint8Array(8_193))).to.throw(MalformedDer, '8192');
  });

  it('with any byte of what was signed changed leads to no root, and nothing throws else', async () => {
    const [der, intermediate] = (await authority.node(NODE_ID)).chain;
    const signed = new DerReader(new DerReader(der!).next().content).next().bytes;
    const start = signed.byteOffset - der!.byteOffset;
    const index = fc.integer({ min: start, max: start + signed.length - 1 });
    const root = authority.rootCertificate;
    const atMs = Date.now();
    const leadsToRoot = (leaf: Uint8Array): boolean =>
      verifyChain({ chain: [leaf, intermediate!], root, atMs }).ok;
    expect(leadsToRoot(der!)).to.equal(true);
    fc.assert(
      fc.property(index, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Uint8Array.from(der!);
        changed[at]! ^= change;
        expect(leadsToRoot(changed)).to.equal(false);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('a chain of certificates', () => {
  const now = Date.now();
  let authority: TestAuthority;
  before(async () => {
    authority = await TestAuthority.create();
  });

  const verdictOn = (
    { chain }: { readonly chain: readonly Uint8Array[] },
    { atMs = now, of = authority }: { atMs?: number; of?: TestAuthority } = {},
  ): string => {
    const verdict = verifyChain({ chain, root: of.rootCertificate, atMs });
    return verdict.ok ? 'ok' : verdict.problem;
  };

  it('leads to the root, over the intermediate or directly', async () => {
    expect(verdictOn(await authority.node(NODE_ID))).to.equal('ok');
    expect(verdictOn(await authority.node(NODE_ID, { underRoot: true }))).to.equal('ok');
  });

  it('holds from its first second to its last, and not beyond', async () => {
    const notBefore = new Date(Date.UTC(2030, 0, 1));
    const notAfter = new Date(Date.UTC(2030, 0, 2));
    const of = await TestAuthority.create({ notBefore, notAfter });
    const leaf = await of.node(NODE_ID);
    const first = notBefore.getTime();
    const last = notAfter.getTime();
    expect(verdictOn(leaf, { of, atMs: first - 1 })).to.include('not yet valid');
    expect(verdictOn(leaf, { of, atMs: first })).to.equal('ok');
    expect(verdictOn(leaf, { of, atMs: last + 999 })).to.equal('ok');
    expect(verdictOn(leaf, { of, atMs: last + 1_000 })).to.include('expired');
    expect(verdictOn(leaf, { of, atMs: Number.NaN })).to.include('not yet valid');
  });

  it('judges every certificate of it at that time, not the leaf alone', async () => {
    const of = await TestAuthority.create({ notAfter: new Date(now + 1_000) });
    const leaf = await of.node(NODE_ID, { notAfter: new Date(now + 86_400_000) });
    expect(verdictOn(leaf, { of, atMs: now + 3_600_000 })).to.equal('authority 1 had expired');
  });

  it('is refused when a node issues certificates, whatever it says of itself', async () => {
    const node = await authority.node(NODE_ID, { underRoot: true });
    const byNode = await authority.signer({ under: node });
    expect(verdictOn(byNode)).to.equal('authority 1 is no authority');
    const claims = await authority.issue({ underRoot: true, authority: {} });
    expect(verdictOn(await authority.signer({ under: claims }))).to.equal(
      'authority 1 may not sign certificates',
    );
    const keyUsage = x509.KeyUsageFlags.keyCertSign;
    const real = await authority.issue({ underRoot: true, authority: {}, keyUsage });
    expect(verdictOn(await authority.signer({ under: real }))).to.equal('ok');
    const third = await authority.issue({ authority: {}, keyUsage });
    expect(verdictOn(await authority.signer({ under: third }))).to.equal(
      'authority 2 allows 0 authorities below it, there are 1',
    );
  });

  it('is refused for another name of the issuer, or a signature too weak', async () => {
    const renamed = await authority.node(NODE_ID, { issuerName: 'CN=Another intermediate' });
    expect(verdictOn(renamed)).to.include('was not issued by');
    expect(verdictOn(await authority.node(NODE_ID, { hash: 'SHA-1' }))).to.include(
      'was not issued by',
    );
    expect(verdictOn(await authority.node(NODE_ID, { hash: 'SHA-384' }))).to.equal('ok');
  });

  it('is refused for an authority as leaf, a leaf not for signatures, and a path too long', async () => {
    const asLeaf = await authority.issue({ authority: {} });
    expect(verdictOn(asLeaf)).to.include('is an authority');
    const keyUsage = x509.KeyUsageFlags.keyAgreement;
    expect(verdictOn(await authority.node(NODE_ID, { keyUsage }))).to.include('not for signatures');
    const of = await TestAuthority.create({ rootPathLength: 0 });
    expect(verdictOn(await of.node(NODE_ID), { of })).to.include('allows 0 authorities');
    expect(verdictOn(await of.node(NODE_ID, { underRoot: true }), { of })).to.equal('ok');
  });

  it('is refused when foreign, self-signed, empty, out of order, or too long', async () => {
    const foreign = await TestAuthority.create();
    const leaf = await authority.node(NODE_ID);
    const [own, intermediate] = leaf.chain;
    const cases: readonly (readonly Uint8Array[])[] = [
      (await foreign.node(NODE_ID)).chain,
      (await authority.node(NODE_ID, { selfSigned: true })).chain,
      [],
      [own!],
      [intermediate!, own!],
      [own!, intermediate!, intermediate!],
      Array.from({ length: MAX_CHAIN_CERTIFICATES + 1 }, () => own!),
    ];
    for (const [index, chain] of cases.entries()) {
      expect(verdictOn({ chain }), String(index)).to.not.equal('ok');
    }
  });

  it('names no key id for a key that is not ECDSA P-256', async () => {
    const p384 = await makeKeys({ name: 'ECDSA', namedCurve: 'P-384' });
    expect(keyIdOf(p384.publicKey)).to.equal(null);
    const p256 = await makeKeys();
    expect(keyIdOf(p256.publicKey)).to.have.length(32);
    expect(keyIdOf(p256.privateKey)).to.equal(null);
  });
});

describe('DER', () => {
  const hostile: readonly [string, number[]][] = [
    ['an indefinite length', [0x30, 0x80, 0, 0]],
    ['a length that is not minimal', [0x30, 0x81, 0x01, 0]],
    ['a length with a leading zero', [0x30, 0x82, 0x00, 0x80, ...Array<number>(128).fill(0)]],
    ['a length of three bytes', [0x30, 0x83, 1, 0, 0]],
    ['a length past the end', [0x30, 0x05, 0]],
    ['a long tag', [0x3f, 0x81, 0x01, 0]],
    ['nothing', []],
    ['a tag alone', [0x30]],
  ];
  for (const [title, content] of hostile) {
    it(`with ${title} is refused`, () => {
      expect(() => new DerReader(Uint8Array.from(content)).next()).to.throw(MalformedDer);
    });
  }

  it('object identifiers have one form each', () => {
    expect(dottedOid(Buffer.from('2b0601050507030 2'.replace(' ', ''), 'hex'))).to.equal(
      CLIENT_AUTH_EKU_OID,
    );
    expect(dottedOid(Buffer.from('883703', 'hex'))).to.equal('2.999.3');
    for (const content of [
      [],
      [0x80, 0x01],
      [0x2b, 0x80, 0x01],
      [0x2b, 0x86],
      Array<number>(21).fill(0xff),
    ]) {
      expect(() => dottedOid(Uint8Array.from(content))).to.throw(MalformedDer);
    }
  });
});
