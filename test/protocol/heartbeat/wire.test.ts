import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { createHmac } from 'node:crypto';

import {
  Directive,
  HeartbeatReplySchema,
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  MetricsSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

import { HeartbeatKey, macOf } from '../../../protocol/heartbeat/mac.ts';
import { sealReply } from '../../../protocol/heartbeat/reply.ts';
import {
  answerBytes,
  readFrame,
  readMetrics,
  sealedBytes,
} from '../../../protocol/heartbeat/wire.ts';
import { counting } from '../../../protocol/vectors/documents.ts';

const uint32 = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const uint64 = fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 64n - 1n));
const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });
const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20, unit: 'binary' }));

const frames = fc.record({
  timestampMs: uint64,
  nonce: bytesUpTo(20),
  metrics: bytesUpTo(200),
  mac: bytesUpTo(40),
  keyId: uint32,
});
const metrics = fc.record({
  streamId: bytesUpTo(20),
  sequence: uint64,
  renewalCounter: uint64,
  slots: uint32,
  attemptIds: fc.array(text, { maxLength: 4 }),
  fuelSinceStart: uint64,
  residentMemoryBytes: uint64,
  cpuPermille: uint32,
  agentVersion: text,
  engineVersion: text,
  isolationLevel: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
});

/** Bytes that are nearly a message: cut, joined to themselves, changed at a place, or none at all. */
function nearly(messages: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(1_000_000);
  return fc.oneof(
    messages,
    fc.tuple(messages, place).map(([bytes, at]) => bytes.subarray(0, at % (bytes.length + 1))),
    fc.tuple(messages, messages).map((both) => new Uint8Array(Buffer.concat(both))),
    fc.tuple(messages, place, fc.integer({ min: 0, max: 255 })).map(([bytes, at, byte]) => {
      const changed = Uint8Array.from(bytes);
      changed[at % (bytes.length + 1)] = byte;
      return changed;
    }),
    bytesUpTo(40),
  );
}

/** The fields that both readers found, or that they found none. */
function outcome(read: () => object): unknown {
  try {
    const { $typeName: _, $unknown: __, ...fields } = read() as Record<string, unknown>;
    // A view of another kind of buffer is as good.
    return Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
      ]),
    );
  } catch {
    return 'refused';
  }
}

function agree(schema: DescMessage, read: (bytes: Uint8Array) => object) {
  return (bytes: Uint8Array) =>
    expect(outcome(() => read(bytes))).to.deep.equal(outcome(() => fromBinary(schema, bytes)));
}

describe('the bytes of a beat, read by hand', () => {
  it('say what they say to any reader of frames, and are refused where it refuses them', () => {
    const encoded = frames.map((frame) =>
      toBinary(HeartbeatRequestSchema, create(HeartbeatRequestSchema, frame)),
    );
    const check = agree(HeartbeatRequestSchema, readFrame);
    fc.assert(
      fc.property(nearly(encoded), (bytes) => void check(bytes)),
      { numRuns: 2_000 },
    );
  });

  it('say what they say to any reader of metrics, and are refused where it refuses them', () => {
    const encoded = metrics.map((content) =>
      toBinary(
        MetricsSchema,
        create(MetricsSchema, content as MessageInitShape<typeof MetricsSchema>),
      ),
    );
    const check = agree(MetricsSchema, readMetrics);
    fc.assert(
      fc.property(nearly(encoded), (bytes) => void check(bytes)),
      { numRuns: 2_000 },
    );
  });

  it('may be a part of a larger buffer', () => {
    const frame = create(HeartbeatRequestSchema, { nonce: counting(16), keyId: 3 });
    const bytes = toBinary(HeartbeatRequestSchema, frame);
    const larger = new Uint8Array(bytes.length + 10).fill(0xff);
    larger.set(bytes, 5);
    const read = readFrame(larger.subarray(5, 5 + bytes.length));
    expect(Buffer.from(read.nonce)).to.deep.equal(Buffer.from(counting(16)));
    expect(read.keyId).to.equal(3);
  });
});

describe('the bytes of an answer, written by hand', () => {
  const directives = fc.subarray([Directive.RENEW, Directive.DRAIN]);
  const interval = fc.oneof(fc.nat(200), fc.maxSafeNat());

  it('are those that any writer would write', () => {
    fc.assert(
      fc.property(interval, interval, directives, (nextIntervalMs, lostAfterMs, told) => {
        const reply = create(HeartbeatReplySchema, {
          kind: {
            case: 'answer',
            value: {
              nextIntervalMs: BigInt(nextIntervalMs),
              lostAfterMs: BigInt(lostAfterMs),
              directives: told,
            },
          },
        });
        const written = answerBytes({ nextIntervalMs, lostAfterMs, directives: told });
        expect(written).to.deep.equal(toBinary(HeartbeatReplySchema, reply));
      }),
    );
  });

  it('are sealed as any frame of the control plane is', () => {
    const key = { down: new HeartbeatKey(counting(32)) };
    fc.assert(
      fc.property(fc.maxSafeNat(), uint32, interval, (time, keyId, nextIntervalMs) => {
        const timestampMs = time + 1;
        const nonce = counting(16);
        const reply = create(HeartbeatReplySchema, {
          kind: { case: 'answer', value: { nextIntervalMs: BigInt(nextIntervalMs) } },
        });
        const sealed = sealReply({ ...key, keyId }, reply, {
          timestampMs: BigInt(timestampMs),
          nonce,
        });
        const written = sealedBytes({ ...key, keyId }, toBinary(HeartbeatReplySchema, reply), {
          timestampMs,
          nonce,
        });
        expect(Uint8Array.from(written)).to.deep.equal(toBinary(HeartbeatResponseSchema, sealed));
      }),
    );
  });
});

describe('the MAC of a frame', () => {
  it('is HMAC-SHA256 over time, nonce and body', () => {
    const parts = [fc.uint8Array({ minLength: 32, maxLength: 32 }), uint64] as const;
    const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(...parts, nonces, bytesUpTo(4_096), (key, timestampMs, nonce, body) => {
        const time = Buffer.alloc(8);
        time.writeBigUInt64BE(timestampMs);
        const expected = createHmac('sha256', key).update(time).update(nonce).update(body).digest();
        const mac = macOf(new HeartbeatKey(key), { timestampMs, nonce, body });
        expect(mac).to.deep.equal(expected);
      }),
    );
  });
});
