import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';

import {
  HeartbeatReplySchema,
  RefusalReason,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

import { HeartbeatKey, macOf } from '../../../protocol/heartbeat/mac.ts';
import { judgeReply, replyNonce, sealReply } from '../../../protocol/heartbeat/reply.ts';
import { counting } from '../../../protocol/vectors/documents.ts';

const KEY = { keyId: 1, down: new HeartbeatKey(counting(32)) };
const NONCE = counting(16, 0x20);
const STREAM_ID = counting(16, 0xa0);
const HELLO = { kind: { case: 'hello', value: { streamId: STREAM_ID } } } as const;
const ANSWER = { kind: { case: 'answer', value: { nextIntervalMs: 15_000n } } } as const;
const REFUSAL = {
  kind: {
    case: 'refusal',
    value: { reason: RefusalReason.CLOCK_OUT_OF_WINDOW, clockOffsetMs: -7n },
  },
} as const;

function seal(
  reply: MessageInitShape<typeof HeartbeatReplySchema>,
  nonce = NONCE,
): HeartbeatResponse {
  return sealReply(KEY, create(HeartbeatReplySchema, reply), { timestampMs: 5n, nonce });
}

const EXPECTED = {
  hello: { kind: 'hello' },
  answer: { kind: 'answer', nonce: NONCE },
} as const;

describe('a frame of the control plane', () => {
  it('is believed when it is what the node waits for, at whatever time', () => {
    for (const [reply, expected] of [
      [HELLO, EXPECTED.hello],
      [ANSWER, EXPECTED.answer],
      [REFUSAL, EXPECTED.answer],
    ] as const) {
      const verdict = judgeReply(KEY, seal(reply), expected);
      expect(verdict.kind === 'accept' && verdict.reply.kind.case).to.equal(reply.kind.case);
    }
  });

  const refused: readonly [string, () => HeartbeatResponse, keyof typeof EXPECTED, string][] = [
    ['an answer before the hello', () => seal(ANSWER), 'hello', 'before the hello'],
    ['a refusal before the hello', () => seal(REFUSAL), 'hello', 'before the hello'],
    ['a second hello', () => seal(HELLO), 'answer', 'instead of an answer'],
    [
      'an answer to another beat',
      () => seal(ANSWER, counting(16)),
      'answer',
      'not the one of the beat',
    ],
    ['nothing in it', () => seal({}), 'answer', 'no kind'],
    [
      'a stream id too short',
      () => seal({ kind: { case: 'hello', value: { streamId: counting(15) } } }),
      'hello',
      'stream id',
    ],
    ['a flipped bit', () => ({ ...seal(ANSWER), timestampMs: 4n }), 'answer', 'MAC'],
    ['another key id', () => ({ ...seal(ANSWER), keyId: 2 }), 'answer', 'MAC'],
    ['a MAC too short', () => ({ ...seal(ANSWER), mac: counting(31) }), 'answer', 'length'],
    ['a nonce too short', () => ({ ...seal(ANSWER), nonce: counting(3) }), 'answer', 'length'],
    [
      'a payload too long',
      () => ({ ...seal(ANSWER), payload: new Uint8Array(4_097) }),
      'answer',
      'length',
    ],
    [
      'a payload that is none, rightly signed',
      () => {
        const body = Uint8Array.of(0x0a, 0x7f);
        const mac = macOf(KEY.down, { timestampMs: 5n, nonce: NONCE, body });
        return { ...seal(ANSWER), payload: body, mac };
      },
      'answer',
      'no reply',
    ],
  ];
  for (const [title, make, expected, problem] of refused) {
    it(`with ${title} is not believed`, () => {
      const verdict = judgeReply(KEY, make(), EXPECTED[expected]);
      expect(verdict.kind === 'refuse' && verdict.problem).to.include(problem);
    });
  }

  it('answers even a beat without a proper nonce', () => {
    expect(replyNonce(NONCE)).to.equal(NONCE);
    expect(replyNonce(counting(3))).to.deep.equal(new Uint8Array(16));
  });
});
