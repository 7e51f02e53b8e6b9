import { expect } from 'chai';
import fc from 'fast-check';

import { isId, makeId, type IdKind } from '../../../protocol/identity/ids.ts';
import { serialBytes, serialHex } from '../../../protocol/identity/serial.ts';
import { isTrustDomain, parseSpiffeUri, spiffeUri } from '../../../protocol/identity/spiffe.ts';

const kinds = fc.constantFrom<IdKind>('n', 'c', 'o', 'j', 'a');
const thirteenBytes = fc.uint8Array({ minLength: 13, maxLength: 13 });
const ID = 'a'.repeat(20);

describe('ids', () => {
  it('have their form, whatever the random bytes are, and are of no other kind', () => {
    fc.assert(
      fc.property(kinds, kinds, thirteenBytes, (kind, other, random) => {
        const id = makeId(kind, () => random);
        expect(isId(kind, id)).to.equal(true);
        expect(isId(other, id)).to.equal(kind === other);
      }),
    );
  });

  it('keep all of their 100 random bits: two ids meet only where those do', () => {
    fc.assert(
      fc.property(thirteenBytes, fc.integer({ min: 0, max: 103 }), (random, bit) => {
        const flipped = Uint8Array.from(random);
        flipped[bit >> 3]! ^= 0x80 >> (bit & 7);
        const same = makeId('n', () => random) === makeId('n', () => flipped);
        expect(same).to.equal(bit >= 100);
      }),
    );
  });

  it('are not made from too little randomness', () => {
    expect(() => makeId('n', () => new Uint8Array(12))).to.throw(RangeError, '12');
  });

  for (const text of [
    '',
    'n-',
    `n-${ID}a`,
    `n-${'A'.repeat(20)}`,
    `n-${ID.slice(1)}1`,
    `N-${ID}`,
    `n-${ID}\n`,
    ` n-${ID}`,
    `n_${ID}`,
  ]) {
    it(`${JSON.stringify(text)} is none`, () => expect(isId('n', text)).to.equal(false));
  }
});

describe('the name in a certificate', () => {
  const td = 'gj.example';

  it('reads back as what was written', () => {
    for (const identity of [
      { role: 'node', id: `n-${ID}` },
      { role: 'client', id: `c-${ID}` },
      { role: 'operator', id: `o-${ID}` },
      { role: 'signer' },
      { role: 'server' },
    ] as const) {
      expect(parseSpiffeUri(spiffeUri(td, identity))).to.deep.equal({ trustDomain: td, identity });
    }
  });

  it('has exactly one spelling: what can be read is what would be written', () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.constantFrom('node', 'control-plane', 'x'), (url, role) => {
        for (const uri of [url, url.replace('https', 'spiffe'), `spiffe://${td}/${role}/${url}`]) {
          const name = parseSpiffeUri(uri);
          if (name !== null) expect(spiffeUri(name.trustDomain, name.identity)).to.equal(uri);
        }
      }),
    );
  });

  const hostile = [
    '',
    'spiffe://',
    `https://${td}/node/n-${ID}`,
    `SPIFFE://${td}/node/n-${ID}`,
    `spiffe:///node/n-${ID}`,
    `spiffe://GJ.example/node/n-${ID}`,
    `spiffe://${td}:8443/node/n-${ID}`,
    `spiffe://user@${td}/node/n-${ID}`,
    `spiffe://${td}/node/n-${ID}/`,
    `spiffe://${td}//node/n-${ID}`,
    `spiffe://${td}/node/../operator/o-${ID}`,
    `spiffe://${td}/node/n-${ID}?x`,
    `spiffe://${td}/node/n-${ID}#x`,
    `spiffe://${td}/node/%6e-${ID}`,
    `spiffe://${td}/node/c-${ID}`,
    `spiffe://${td}/Node/n-${ID}`,
    `spiffe://${td}/operator/n-${ID}`,
    `spiffe://${td}/control-plane/n-${ID}`,
    `spiffe://${td}/control-plane`,
    `spiffe://${td}/control-plane/signer/x`,
    `spiffe://${td}/node/n-${ID}\0`,
    `spiffe://${td}/node/n-${ID}\n`,
    `spiffe://${td}/node/n-${ID}\nspiffe://${td}/operator/o-${ID}`,
    `spiffe://${'a'.repeat(256)}/node/n-${ID}`,
    `spiffe://.${td}/node/n-${ID}`,
    `spiffe://gj.ex\u00e4mple/node/n-${ID}`,
    `spiffe://${td}/node/n-${'a'.repeat(1_000_000)}`,
  ];
  for (const uri of hostile) {
    it(`${JSON.stringify(uri.slice(0, 90))} names nobody`, () => {
      expect(parseSpiffeUri(uri)).to.equal(null);
    });
  }

  it('is not written for a foreign id or a trust domain that cannot be read back', () => {
    expect(() => spiffeUri(td, { role: 'node', id: `c-${ID}` })).to.throw(RangeError, 'node id');
    expect(() => spiffeUri('Not A Domain', { role: 'signer' })).to.throw(
      RangeError,
      'Not A Domain',
    );
    expect(isTrustDomain('dev.gap-junction')).to.equal(true);
  });
});

describe('serial numbers', () => {
  it('of one certificate are one number, in whatever form they come', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 20 }).filter((bytes) => bytes[0] !== 0),
        (bytes) => {
          const hex = Buffer.from(bytes).toString('hex');
          const der = Buffer.concat([Buffer.of(0), bytes]);
          for (const form of [bytes, der, hex, hex.toUpperCase(), `00${hex}`]) {
            expect(serialHex(form)).to.equal(hex);
          }
          expect(Buffer.from(serialBytes(der))).to.deep.equal(Buffer.from(bytes));
        },
      ),
    );
  });

  for (const serial of [
    '',
    '00',
    '-01',
    '0x01',
    'zz',
    ' 01',
    `01${'00'.repeat(21)}`,
    '1'.repeat(43),
  ]) {
    it(`${JSON.stringify(serial)} is none`, () => {
      expect(() => serialHex(serial)).to.throw(RangeError);
    });
  }
});
