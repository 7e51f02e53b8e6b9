import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';

import {
  HeartbeatRequestSchema,
  MetricsSchema,
  RefusalReasonSchema,
  type HeartbeatRequest,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

import {
  CLOCK_WINDOW_MS,
  judgeBeat,
  type StreamState,
} from '../../../protocol/heartbeat/acceptance.ts';
import { deriveKeys, masterHmacOf } from '../../../protocol/heartbeat/keys.ts';
import { HeartbeatKey, macOf, verifyMac } from '../../../protocol/heartbeat/mac.ts';
import { counting } from '../../../protocol/vectors/documents.ts';

const NOW_MS = 1_800_000_000_000n;
const STREAM_ID = counting(16, 0xa0);
const KEY = { keyId: 7, up: new HeartbeatKey(counting(32)) };
const STATE: StreamState = { allowed: true, streamId: STREAM_ID, nextSequence: 3n };

interface BeatTerms {
  readonly timestampMs?: bigint;
  readonly nonce?: Uint8Array;
  readonly streamId?: Uint8Array;
  readonly sequence?: bigint;
  readonly body?: Uint8Array;
  readonly keyId?: number;
}

/** A beat that is right but for what is said; signed with the right key after that. */
function beat({
  timestampMs = NOW_MS,
  nonce = counting(16),
  streamId = STREAM_ID,
  sequence = 3n,
  keyId = KEY.keyId,
  body,
}: BeatTerms = {}): HeartbeatRequest {
  const metrics =
    body ?? toBinary(MetricsSchema, create(MetricsSchema, { streamId, sequence, slots: 2 }));
  const mac = macOf(KEY.up, { timestampMs, nonce, body: metrics });
  return create(HeartbeatRequestSchema, { timestampMs, nonce, metrics, mac, keyId });
}

function judge(frame: HeartbeatRequest, state: Partial<StreamState> = {}): string {
  const verdict = judgeBeat({ ...STATE, ...state }, frame, { nowMs: NOW_MS, key: KEY });
  return verdict.kind === 'accept'
    ? 'accept'
    : RefusalReasonSchema.value[verdict.reason]!.localName;
}

describe('a beat', () => {
  it('is accepted when everything is right, and its metrics are read', () => {
    const verdict = judgeBeat(STATE, beat(), { nowMs: NOW_MS, key: KEY });
    expect(verdict.kind === 'accept' && verdict.metrics.slots).to.equal(2);
  });

  const changed: readonly [string, Partial<HeartbeatRequest>, string][] = [
    ['a nonce too short', { nonce: counting(15) }, 'MALFORMED'],
    ['a nonce too long', { nonce: counting(17) }, 'MALFORMED'],
    ['no nonce', { nonce: new Uint8Array() }, 'MALFORMED'],
    ['a MAC too short', { mac: counting(31) }, 'MALFORMED'],
    ['no MAC', { mac: new Uint8Array() }, 'MALFORMED'],
    ['metrics too long', { metrics: new Uint8Array(4_097) }, 'MALFORMED'],
    ['another MAC', { mac: counting(32) }, 'BAD_MAC'],
    ['another nonce', { nonce: counting(16, 1) }, 'BAD_MAC'],
    ['another timestamp', { timestampMs: NOW_MS + 1n }, 'BAD_MAC'],
    ['other metrics', { metrics: new Uint8Array(3) }, 'BAD_MAC'],
    ['another key id', { keyId: 8 }, 'BAD_MAC'],
  ];
  for (const [title, fields, reason] of changed) {
    it(`with ${title} put in afterwards is refused as ${reason}`, () => {
      expect(judge({ ...beat(), ...fields })).to.equal(reason);
    });
  }

  const signed: readonly [string, BeatTerms, string][] = [
    ['60 s early', { timestampMs: NOW_MS + CLOCK_WINDOW_MS }, 'accept'],
    ['60 s late', { timestampMs: NOW_MS - CLOCK_WINDOW_MS }, 'accept'],
    ['60.001 s early', { timestampMs: NOW_MS + CLOCK_WINDOW_MS + 1n }, 'CLOCK_OUT_OF_WINDOW'],
    ['60.001 s late', { timestampMs: NOW_MS - CLOCK_WINDOW_MS - 1n }, 'CLOCK_OUT_OF_WINDOW'],
    ['the last time there is', { timestampMs: 2n ** 64n - 1n }, 'CLOCK_OUT_OF_WINDOW'],
    ['another stream', { streamId: counting(16) }, 'WRONG_STREAM'],
    ['no stream', { streamId: new Uint8Array() }, 'WRONG_STREAM'],
    ['a longer stream', { streamId: counting(17, 0xa0) }, 'WRONG_STREAM'],
    ['the last sequence again', { sequence: 2n }, 'WRONG_SEQUENCE'],
    ['a sequence left out', { sequence: 4n }, 'WRONG_SEQUENCE'],
    ['metrics that are none', { body: Uint8Array.of(0x0a, 0x7f) }, 'MALFORMED'],
    ['no metrics', { body: new Uint8Array() }, 'WRONG_STREAM'],
  ];
  for (const [title, terms, reason] of signed) {
    it(`rightly signed with ${title}: ${reason}`, () => {
      expect(judge(beat(terms))).to.equal(reason);
    });
  }

  it('of a node that is not allowed is refused before anything of it is looked at', () => {
    const frame = create(HeartbeatRequestSchema, { metrics: new Uint8Array(5_000) });
    expect(judge(frame, { allowed: false })).to.equal('NOT_ALLOWED');
  });

  it('tells the node by how much its clock is wrong, with the sign to correct it', () => {
    const verdict = judgeBeat(STATE, beat({ timestampMs: NOW_MS - 90_000n }), {
      nowMs: NOW_MS,
      key: KEY,
    });
    expect(verdict).to.deep.include({ kind: 'refuse', clockOffsetMs: 90_000n });
  });

  it('that fails an earlier check never reaches a later one', () => {
    const order = [
      'NOT_ALLOWED',
      'MALFORMED',
      'BAD_MAC',
      'CLOCK_OUT_OF_WINDOW',
      'WRONG_STREAM',
      'WRONG_SEQUENCE',
    ];
    const faults = fc.record({
      allowed: fc.boolean(),
      length: fc.boolean(),
      mac: fc.boolean(),
      clock: fc.boolean(),
      stream: fc.boolean(),
      sequence: fc.boolean(),
    });
    fc.assert(
      fc.property(faults, (right) => {
        const frame = beat({
          timestampMs: right.clock ? NOW_MS : 0n,
          streamId: right.stream ? STREAM_ID : counting(16),
          sequence: right.sequence ? 3n : 9n,
        });
        if (!right.mac) frame.mac[31]! ^= 1;
        if (!right.length) frame.nonce = counting(15);
        const first = Object.values(right).indexOf(false);
        expect(judge(frame, { allowed: right.allowed })).to.equal(order[first] ?? 'accept');
      }),
    );
  });

  it('with any bit flipped is refused', () => {
    const bits = fc.integer({ min: 0, max: 1_000_000 });
    fc.assert(
      fc.property(fc.constantFrom('nonce', 'metrics', 'mac'), bits, (field, bit) => {
        const frame = beat();
        const at = bit % (frame[field].length * 8);
        frame[field] = Uint8Array.from(frame[field]);
        frame[field][at >> 3]! ^= 1 << (at & 7);
        expect(judge(frame)).to.equal('BAD_MAC');
      }),
    );
  });

  it('never makes the judge throw, whatever it holds', () => {
    const bytes = fc.uint8Array({ maxLength: 64 });
    const frame = fc.record({
      timestampMs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      nonce: bytes,
      metrics: bytes,
      mac: bytes,
      keyId: fc.nat(),
    });
    fc.assert(
      fc.property(frame, bytes, (fields, body) => {
        expect(judge(create(HeartbeatRequestSchema, fields))).to.not.equal('accept');
        const nonce = counting(16);
        expect(judge(beat({ timestampMs: fields.timestampMs, nonce, body }))).to.be.a('string');
      }),
    );
  });
});

describe('the keys of heartbeats', () => {
  const serial = Uint8Array.of(0x80, 0x01);
  const nodeId = `n-${'a'.repeat(20)}`;
  const master = masterHmacOf(counting(32));

  it('differ by direction, so that a frame sent back to its sender never verifies', async () => {
    const keys = await deriveKeys(master, { nodeId, serial });
    const frame = { timestampMs: NOW_MS, nonce: counting(16), body: counting(3) };
    const mac = macOf(new HeartbeatKey(keys.up), frame);
    expect(verifyMac(new HeartbeatKey(keys.up), frame, mac)).to.equal(true);
    expect(verifyMac(new HeartbeatKey(keys.down), frame, mac)).to.equal(false);
  });

  it('differ by node, serial and master key', async () => {
    const all = [
      await deriveKeys(master, { nodeId, serial }),
      await deriveKeys(master, { nodeId: `n-${'b'.repeat(20)}`, serial }),
      await deriveKeys(master, { nodeId, serial: Uint8Array.of(0x80, 0x02) }),
      await deriveKeys(masterHmacOf(counting(32, 1)), { nodeId, serial }),
    ].flatMap(({ up, down }) => [up, down].map((key) => Buffer.from(key).toString('hex')));
    expect(new Set(all).size).to.equal(8);
  });

  it('come the same from a store that answers later', async () => {
    const remote = await deriveKeys((message) => Promise.resolve(master(message)), {
      nodeId,
      serial,
    });
    expect(remote).to.deep.equal(await deriveKeys(master, { nodeId, serial }));
  });

  it('have 32 bytes, and a MAC is refused rather than computed over a misfit', () => {
    expect(() => new HeartbeatKey(counting(31))).to.throw(RangeError, '31');
    const frame = { timestampMs: 0n, nonce: counting(16), body: new Uint8Array() };
    expect(() => macOf(KEY.up, { ...frame, nonce: counting(8) })).to.throw(RangeError, '8 bytes');
    expect(() => macOf(KEY.up, { ...frame, body: new Uint8Array(4_097) })).to.throw(
      RangeError,
      '4097',
    );
    expect(verifyMac(KEY.up, frame, counting(31))).to.equal(false);
  });
});
