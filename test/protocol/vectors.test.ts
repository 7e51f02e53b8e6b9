import { createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';

import { EnvelopeSchema } from '#gen/gapjunction/job/v1/bill_pb';

import { verifyEnvelope, type PayloadType } from '../../protocol/bill/envelope.ts';
import { makeVectors, vectorText } from '../../protocol/vectors/make.ts';
import { RandomStream } from '../../sandbox/wasi/random-stream.ts';
import { digestStopState } from '../../sandbox/engine/stop-state.ts';

const FOLDER = new URL('../../protocol/vectors/', import.meta.url);

const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

describe('the vectors that other languages are checked with', () => {
  it('are what this code computes, all of them', async () => {
    const made = await makeVectors();
    const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
    expect(Object.keys(made).toSorted()).to.deep.equal(files.toSorted());
    for (const [name, vectors] of Object.entries(made)) {
      expect(read(name), `${name}: run node protocol/vectors/make.ts`).to.equal(
        vectorText(vectors),
      );
    }
  });

  it('have signatures that verify, and none that verifies another document', () => {
    const vectors = JSON.parse(read('envelopes.json')) as {
      signerSpki: string;
      keyId: string;
      envelopes: { payloadType: PayloadType; payload: string; signature: string }[];
    };
    const key = Buffer.from(vectors.signerSpki, 'hex');
    const publicKey = createPublicKey({ key, format: 'der', type: 'spki' });
    for (const signed of vectors.envelopes) {
      for (const other of vectors.envelopes) {
        const envelope = create(EnvelopeSchema, {
          payloadType: other.payloadType,
          payload: bytes(other.payload),
          signature: bytes(signed.signature),
          keyId: bytes(vectors.keyId),
        });
        const verdict = verifyEnvelope(envelope, { payloadType: other.payloadType, publicKey });
        expect(verdict.ok).to.equal(signed === other);
      }
    }
  });

  it('give a guest in the sandbox the random bytes that the document promises', () => {
    const vectors = JSON.parse(read('guest-random.json')) as {
      seed: string;
      first100Bytes: string;
    }[];
    for (const { seed, first100Bytes } of vectors) {
      const stream = new RandomStream(bytes(seed));
      const parts = [1, 15, 0, 84].map((length) => {
        const part = new Uint8Array(length);
        stream.readInto(part);
        return part;
      });
      expect(Buffer.concat(parts).toString('hex')).to.equal(first100Bytes);
    }
  });

  it('name the memories of a stopped guest as the sandbox names them', () => {
    const vectors = JSON.parse(read('stop-state.json')) as {
      memories: { bytes: string }[];
      digest: string;
    }[];
    for (const { memories, digest } of vectors) {
      const named = digestStopState(memories.map((memory) => bytes(memory.bytes)));
      expect(Buffer.from(named).toString('hex')).to.equal(digest);
    }
  });
});
