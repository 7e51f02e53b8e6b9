// Test vectors for whoever computes the same in another language. Inputs are fixed, keys count up from 0.
//
//   node protocol/vectors/make.ts        writes the JSON files beside this one
//
// A test fails when the files are not what this makes. The signatures were made once by a key that was
// kept nowhere: ECDSA draws a random number each time, so a vector can only be verified.

import { createCipheriv, hkdfSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { toBinary, create } from '@bufbuild/protobuf';
import { HeartbeatReplySchema, MetricsSchema } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { digest, digestText } from '../bill/digest.ts';
import { deadlineFloorFuel } from '../bill/deadline-floor.ts';
import { preAuthenticationEncoding } from '../bill/envelope.ts';
import { isolationKey } from '../bill/isolation-key.ts';
import {
  chargeMicrocents,
  DEFAULT_PRICE,
  nodeShareMicrocents,
  type PriceRates,
} from '../bill/price.ts';
import { stopStateDigest } from '../bill/stop-state.ts';
import { taskIdOf } from '../bill/task-id.ts';
import { utf8 } from '../bytes.ts';
import { baseIntervalMs, nextIntervalMs, reconnectDelayMs } from '../heartbeat/jitter.ts';
import { deriveKeys, masterHmacOf } from '../heartbeat/keys.ts';
import { HeartbeatKey, macOf } from '../heartbeat/mac.ts';
import { makeId } from '../identity/ids.ts';
import { serialBytes, serialBytesOfHex, serialHex } from '../identity/serial.ts';
import { counting, VECTOR_CLIENT_ID, VECTOR_NODE_ID, VECTOR_PAYLOADS } from './documents.ts';

const SIGNER_SPKI =
  '3059301306072a8648ce3d020106082a8648ce3d030107034200048c19e1d156478b36bf48e130d4b933c1ba0181b4a684b594050831d22a74070636e46ba4736ae6879a4eb7daeee9da8f504acb731bcac9ba9dfa22ccfb86ce28';

const SIGNATURES: readonly string[] = [
  'a77dfd7f21db825e75310270c2e6baf5cb65794522afb8662530bea3c0bc338f87389e8e6c3097d245af2786b3ff8dfd5ec6179e7284de80ed512fc803105bc5',
  'be3c7f3f07b86358f4ff9cd5766a03c5894f1ae3df19d89832869ea05aaa1ad488b0afe5292ee704010be3a42921b6610f75d2b8a6a83a93137108a3b5bce00d',
  'e4461c30a37b712fd7f2d444226d83ea1e7cc4ec2f4f74aff7bf75f09e438c95ba35425ea985c4970ea3dd80b5d8b5f1f00705ab5a59cee728b949b573a2debe',
];

/** The vectors by file name: bytes in hex, large numbers as decimal text. */
export async function makeVectors(): Promise<Readonly<Record<string, unknown>>> {
  return {
    'ids.json': ids(),
    'serials.json': serials(),
    'digests.json': digests(),
    'envelopes.json': envelopes(),
    'heartbeat.json': await heartbeat(),
    'jitter.json': jitter(),
    'price.json': prices(),
    'isolation-key.json': isolationKeys(),
    'stop-state.json': stopStates(),
    'deadline-floor.json': deadlineFloors(),
    'guest-random.json': guestRandom(),
  };
}

/** A file's text as it is committed. */
export function vectorText(vectors: unknown): string {
  return `${JSON.stringify(vectors, null, 2)}\n`;
}

function ids(): unknown {
  const randoms = [counting(13), counting(13, 0xf3), new Uint8Array(13), counting(13, 0x61)];
  return (['n', 'c', 'o', 'j', 'a'] as const).flatMap((kind) =>
    randoms.map((random) => ({ kind, random: hex(random), id: makeId(kind, () => random) })),
  );
}

function serials(): unknown {
  const ofDer = ['7f', '0080', '00ff00', '01', '007fffffffffffffffffffffffffffffffffffffff'];
  const ofHex = ['7F', '80', '0080', 'FF00', 'f', '0ABCDEF0123456789ABCDEF0123456789ABCDEF0'];
  return {
    der: ofDer.map((content) => ({ content, serial: serialHex(bytes(content)) })),
    hex: ofHex.map((printed) => ({ printed, serial: serialHex(printed) })),
  };
}

function digests(): unknown {
  const contents = ['', 'abc', hex(counting(100))];
  return contents.map((text) => ({ text, digest: digestText(digest(utf8(text))) }));
}

function envelopes(): unknown {
  return {
    signerSpki: SIGNER_SPKI,
    keyId: hex(digest(bytes(SIGNER_SPKI))),
    envelopes: VECTOR_PAYLOADS.map(({ payloadType, payload }, index) => ({
      payloadType,
      payload: hex(payload),
      payloadDigest: hex(digest(payload)),
      preAuthenticationEncoding: hex(preAuthenticationEncoding(payloadType, payload)),
      signature: SIGNATURES[index],
      ...(index === 0 ? { taskId: hex(taskIdOf(payload)) } : {}),
    })),
  };
}

async function heartbeat(): Promise<unknown> {
  const masterKey = counting(32);
  const nodeId = VECTOR_NODE_ID;
  const serial = serialBytesOfHex('80112233445566778899AABBCCDDEEFF');
  const keys = await deriveKeys(masterHmacOf(masterKey), { nodeId, serial });
  const short = await deriveKeys(masterHmacOf(masterKey), {
    nodeId,
    serial: serialBytes(bytes('01')),
  });
  const metrics = toBinary(
    MetricsSchema,
    create(MetricsSchema, {
      streamId: counting(16, 0xa0),
      sequence: 1n,
      slots: 4,
      attemptIds: ['a-4567abcdefghijklmnop'],
      fuelSinceStart: 10_000_000_000n,
      agentVersion: '0.1.0',
    }),
  );
  const hello = toBinary(
    HeartbeatReplySchema,
    create(HeartbeatReplySchema, {
      kind: { case: 'hello', value: { streamId: counting(16, 0xa0) } },
    }),
  );
  const frames = [
    { direction: 'up', timestampMs: 1_800_000_000_000n, nonce: counting(16, 0xc0), body: metrics },
    { direction: 'up', timestampMs: 0n, nonce: new Uint8Array(16), body: new Uint8Array() },
    { direction: 'down', timestampMs: 2n ** 64n - 1n, nonce: counting(16, 0xd0), body: hello },
  ] as const;
  return {
    masterKey: hex(masterKey),
    keys: [
      { nodeId, serial: hex(serial), up: hex(keys.up), down: hex(keys.down) },
      { nodeId, serial: '01', up: hex(short.up), down: hex(short.down) },
    ],
    frames: frames.map(({ direction, timestampMs, nonce, body }) => ({
      key: hex(keys[direction]),
      direction,
      timestampMs: String(timestampMs),
      nonce: hex(nonce),
      body: hex(body),
      mac: hex(macOf(new HeartbeatKey(keys[direction]), { timestampMs, nonce, body })),
    })),
  };
}

function jitter(): unknown {
  const randoms = [0, 0.25, 0.5, 0.75, 0.999];
  const fleets = [1, 29_999, 30_001, 100_000];
  const losses = [
    { failedAttempts: 0, leaseHeld: true, sinceLossMs: 0 },
    { failedAttempts: 1, leaseHeld: true, sinceLossMs: 0 },
    { failedAttempts: 3, leaseHeld: false, sinceLossMs: 119_999 },
    { failedAttempts: 9, leaseHeld: true, sinceLossMs: 600_000 },
    { failedAttempts: 9, leaseHeld: false, sinceLossMs: 120_000 },
  ];
  return {
    bases: fleets.map((nodes) => ({
      nodes,
      beatsPerSecondBudget: 2_000,
      baseMs: baseIntervalMs({ nodes }),
    })),
    intervals: randoms.flatMap((random) =>
      [15_000, 50_000].map((baseMs) => ({
        baseMs,
        random,
        intervalMs: nextIntervalMs(baseMs, () => random),
      })),
    ),
    reconnects: losses.flatMap((loss) =>
      [0.5, 0.999].map((random) => ({
        ...loss,
        random,
        delayMs: reconnectDelayMs(loss, () => random),
      })),
    ),
  };
}

function prices(): unknown {
  const steep: PriceRates = { ...DEFAULT_PRICE, baseMicrocents: 7n, shareBasisPoints: 3_333 };
  const usages = [
    { moduleBytes: 0n, inputBytes: 0n, outputBytes: 0n, fuel: 0n },
    { moduleBytes: 1n, inputBytes: 1n, outputBytes: 0n, fuel: 1n },
    { moduleBytes: 1_048_576n, inputBytes: 524_288n, outputBytes: 524_288n, fuel: 1_000_000n },
    { moduleBytes: 1_048_577n, inputBytes: 5n, outputBytes: 6n, fuel: 12_345_678n },
    {
      moduleBytes: 16_777_216n,
      inputBytes: 67_108_864n,
      outputBytes: 67_108_864n,
      fuel: 10n ** 12n,
    },
  ];
  return [DEFAULT_PRICE, steep].flatMap((price) =>
    usages.map((usage) => {
      const charge = chargeMicrocents({ price, ...usage });
      const share = nodeShareMicrocents(charge, price.shareBasisPoints);
      return {
        price: decimal(price),
        usage: decimal(usage),
        chargeMicrocents: String(charge),
        nodeShareMicrocents: String(share),
        platformMicrocents: String(charge - share),
      };
    }),
  );
}

function isolationKeys(): unknown {
  const secret = counting(32);
  const clientId = VECTOR_CLIENT_ID;
  return [VECTOR_NODE_ID, 'n-22222222222222222222'].map((nodeId) => ({
    secret: hex(secret),
    clientId,
    nodeId,
    isolationKey: hex(isolationKey(secret, { clientId, nodeId })),
  }));
}

function stopStates(): unknown {
  const cases = [[], [new Uint8Array()], [counting(64)], [counting(3), counting(2, 9)]];
  return cases.map((memories) => ({
    memories: memories.map((memory) => ({ bytes: hex(memory) })),
    digest: hex(stopStateDigest(memories)),
  }));
}

function deadlineFloors(): unknown {
  const stops = [
    { deadlineEpochs: 3_000, sleptNs: 0n },
    { deadlineEpochs: 3_000, sleptNs: 29_999_999_999n },
    { deadlineEpochs: 1, sleptNs: 1n },
    { deadlineEpochs: 1, sleptNs: 10_000_000n },
    { deadlineEpochs: 1, sleptNs: 2n ** 64n - 1n },
  ];
  return stops.map((stop) => ({ ...decimal(stop), leastFuel: String(deadlineFloorFuel(stop)) }));
}

/** The sandbox has the code that guests read from; this is the same by Node's own functions. */
function guestRandom(): unknown {
  return [counting(32), new Uint8Array(32)].map((seed) => {
    const key = new Uint8Array(hkdfSync('sha256', seed, '', 'gap-junction/random/v1\n', 32));
    const stream = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
    return {
      seed: hex(seed),
      key: hex(key),
      first100Bytes: hex(stream.update(new Uint8Array(100))),
    };
  });
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function decimal(values: object): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}

if (import.meta.main) {
  for (const [name, vectors] of Object.entries(await makeVectors())) {
    await writeFile(new URL(name, import.meta.url), vectorText(vectors));
  }
}
