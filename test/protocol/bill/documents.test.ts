import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect } from 'chai';
import fc from 'fast-check';

import { JobEnd, WorkOrderSchema } from '#gen/gapjunction/job/v1/bill_pb';

import { digest, digestText, parseDigestText } from '../../../protocol/bill/digest.ts';
import { preAuthenticationEncoding } from '../../../protocol/bill/envelope.ts';
import { decodeReceipt, encodeReceipt } from '../../../protocol/bill/receipt.ts';
import { decodeSettlement, encodeSettlement } from '../../../protocol/bill/settlement.ts';
import { MalformedPayload } from '../../../protocol/bill/strict-decode.ts';
import { taskIdOf } from '../../../protocol/bill/task-id.ts';
import { decodeWorkOrder, encodeWorkOrder } from '../../../protocol/bill/work-order.ts';
import { orderTerms, receiptTerms, type OrderTerms, type ReceiptTerms } from '../../fakes/bill.ts';

const NOW_MS = 1_800_000_000_000;
const KEY_ID = digest(Buffer.from('key'));
const TASK_ID = digest(Buffer.from('task'));
const payload = encodeWorkOrder(orderTerms(KEY_ID, NOW_MS));

describe('a work order', () => {
  it('comes back as it was written', () => {
    const order = decodeWorkOrder(payload);
    expect(Buffer.from(toBinary(WorkOrderSchema, order))).to.deep.equal(Buffer.from(payload));
  });

  it('is another task when any bit of it changes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: payload.length * 8 - 1 }), (bit) => {
        const changed = Uint8Array.from(payload);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        expect(digestText(taskIdOf(changed))).to.not.equal(digestText(taskIdOf(payload)));
      }),
    );
  });

  const short = new Uint8Array(31);
  const refused: readonly [string, Partial<OrderTerms>][] = [
    ['job_id', { jobId: 'j-1' }],
    ['attempt_id', { attemptId: '' }],
    ['node_id', { nodeId: `c-${'a'.repeat(20)}` }],
    ['node_key_id', { nodeKeyId: short }],
    ['isolation_key', { isolationKey: new Uint8Array() }],
    ['module', { module: undefined }],
    ['module.digest', { module: { digest: short, sizeBytes: 1n } }],
    ['module.size_bytes', { module: { digest: KEY_ID, sizeBytes: 0n } }],
    ['input', { input: undefined }],
    ['entry', { entry: 0 }],
    ['entry', { entry: 99 as never }],
    ['grants', { grants: [0] }],
    ['grants', { grants: [1, 1] }],
    ['limits', { limits: undefined }],
    ['limits.fuel', { limits: { deadlineEpochs: 1, memoryBytes: 1n } }],
    ['limits.deadline_epochs', { limits: { fuel: 1n, memoryBytes: 1n } }],
    ['profile', { profile: '' }],
    ['profile', { profile: 'gj\u{1b}[2J' }],
    ['profile', { profile: 'p'.repeat(201) }],
    ['profile_digest', { profileDigest: short }],
    ['price', { price: undefined }],
    ['price', { price: { baseMicrocents: 2n ** 63n } }],
    ['price.share_basis_points', { price: { shareBasisPoints: 10_001 } }],
    ['seed', { seed: new Uint8Array(33) }],
    ['expires_ms', { notBeforeMs: 5n, expiresMs: 5n }],
  ];
  for (const [field, terms] of refused) {
    it(`is neither written nor read without a proper ${field}: ${Object.values(terms).map(String).join().slice(0, 30)}`, () => {
      const order = { ...orderTerms(KEY_ID, NOW_MS), ...terms };
      expect(() => encodeWorkOrder(order)).to.throw(MalformedPayload, `"${field}"`);
      const bytes = toBinary(WorkOrderSchema, create(WorkOrderSchema, order));
      expect(() => decodeWorkOrder(bytes)).to.throw(MalformedPayload, `"${field}"`);
    });
  }

  it('cut off at any byte, or with any byte changed, is refused in one way or reads as an order', () => {
    for (let length = 0; length < payload.length; length++) {
      expect(() => decodeWorkOrder(payload.subarray(0, length))).to.throw(MalformedPayload);
    }
    const index = fc.integer({ min: 0, max: payload.length - 1 });
    fc.assert(
      fc.property(index, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Uint8Array.from(payload);
        changed[at]! ^= change;
        try {
          decodeWorkOrder(changed);
        } catch (error) {
          expect(error).to.be.instanceOf(MalformedPayload);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  const appended: readonly [string, Uint8Array][] = [
    ['a field twice', new BinaryWriter().tag(15, WireType.Varint).uint64(1n).finish()],
    [
      'a message twice',
      new BinaryWriter().tag(10, WireType.LengthDelimited).bytes(Uint8Array.of(8, 1)).finish(),
    ],
    ['an unknown field', new BinaryWriter().tag(999, WireType.Varint).uint64(1n).finish()],
    ['a group', Uint8Array.of(0x53, 0x54)],
    ['a field of number 0', Uint8Array.of(0x00, 0x00)],
    ['a length past the end', Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['a varint without end', new Uint8Array(11).fill(0x80)],
  ];
  for (const [title, bytes] of appended) {
    it(`with ${title} is refused, since readers would not agree on it`, () => {
      expect(() => decodeWorkOrder(Buffer.concat([payload, bytes]))).to.throw(MalformedPayload);
    });
  }

  it('with an unknown field inside of a part is refused as well', () => {
    const limits = new BinaryWriter()
      .tag(1, WireType.Varint)
      .uint64(1n)
      .tag(9, WireType.Varint)
      .uint64(1n);
    const bytes = new BinaryWriter()
      .tag(10, WireType.LengthDelimited)
      .bytes(limits.finish())
      .finish();
    expect(() => decodeWorkOrder(bytes)).to.throw(MalformedPayload, 'unknown field 9');
  });
});

describe('a receipt', () => {
  const refused: readonly [string, Partial<ReceiptTerms>][] = [
    ['task_id', { taskId: new Uint8Array() }],
    ['end', { end: JobEnd.UNSPECIFIED }],
    ['end', { end: JobEnd.QUEUE_TIMEOUT }],
    ['end', { end: 99 as JobEnd }],
    ['end_detail', { endDetail: '\r\n' }],
    ['output', { output: undefined }],
    ['output.digest', { output: { digest: new Uint8Array(31) } }],
    ['log_digest', { logDigest: new Uint8Array() }],
    ['stop_state_digest', { stopStateDigest: new Uint8Array(1) }],
    ['engine', { engine: '\0' }],
    ['engine_version', { engineVersion: 'v'.repeat(201) }],
  ];
  for (const [field, terms] of refused) {
    it(`is neither written nor read without a proper ${field}`, () => {
      const receipt = { ...receiptTerms(TASK_ID, NOW_MS), ...terms };
      expect(() => encodeReceipt(receipt)).to.throw(MalformedPayload, `"${field}"`);
    });
  }

  it('comes back as it was written', () => {
    const receipt = decodeReceipt(encodeReceipt(receiptTerms(TASK_ID, NOW_MS)));
    expect(receipt.fuel).to.equal(12_345_678n);
    expect(receipt.output.sizeBytes).to.equal(6n);
  });
});

describe('a settlement', () => {
  it('needs the digest of a receipt and a price', () => {
    const price = { shareBasisPoints: 1 };
    expect(() => encodeSettlement({ price })).to.throw(MalformedPayload, '"receipt_digest"');
    expect(() => encodeSettlement({ receiptDigest: TASK_ID })).to.throw(
      MalformedPayload,
      '"price"',
    );
    const bytes = encodeSettlement({ receiptDigest: TASK_ID, price, chargeMicrocents: 7n });
    expect(decodeSettlement(bytes).chargeMicrocents).to.equal(7n);
  });
});

describe('what is signed', () => {
  it('is what DSSE says, byte for byte', () => {
    const encoded = preAuthenticationEncoding(
      'http://example.com/HelloWorld',
      Buffer.from('hello world'),
    );
    expect(Buffer.from(encoded).toString()).to.equal(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });

  it('never reads the same for another type and payload', () => {
    const bytes = fc.uint8Array({ maxLength: 20 });
    fc.assert(
      fc.property(fc.string(), bytes, fc.string(), bytes, (type, body, otherType, otherBody) => {
        const same =
          Buffer.compare(
            preAuthenticationEncoding(type, body),
            preAuthenticationEncoding(otherType, otherBody),
          ) === 0;
        const equal = type === otherType && Buffer.compare(body, otherBody) === 0;
        expect(same).to.equal(equal);
      }),
    );
  });
});

describe('the name of content', () => {
  it('has one spelling for people', () => {
    expect(digestText(parseDigestText(digestText(TASK_ID))!)).to.equal(digestText(TASK_ID));
    const hex = digestText(TASK_ID).slice(7);
    for (const text of [
      '',
      hex,
      `SHA256:${hex}`,
      `sha256:${hex.toUpperCase()}`,
      `sha256:${hex}0`,
      `sha256:${hex}\n`,
    ]) {
      expect(parseDigestText(text), text).to.equal(null);
    }
  });
});
