import { toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';

import { BillSchema } from '#gen/gapjunction/job/v1/bill_pb';

import {
  MalformedBillFile,
  MAX_BILL_FILE_BYTES,
  readBillFile,
  writeBillFile,
} from '../../../protocol/bill/bill-file.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { makeBill } from '../../fakes/bill.ts';

const read = (text: string): unknown => readBillFile(Buffer.from(text));

describe('a bill file', () => {
  let text: string;

  before(async () => {
    text = writeBillFile(await makeBill(await TestAuthority.create()));
  });

  it('reads back as the bill that was written', async () => {
    const bill = await makeBill(await TestAuthority.create());
    const again = readBillFile(Buffer.from(writeBillFile(bill)));
    expect(Buffer.from(toBinary(BillSchema, again))).to.deep.equal(
      Buffer.from(toBinary(BillSchema, bill)),
    );
  });

  it('reads in any layout of JSON, and with the names of the contract', () => {
    expect(read(JSON.stringify(JSON.parse(text)))).to.be.an('object');
    expect(read(text.replaceAll('workOrderChain', 'work_order_chain'))).to.be.an('object');
    expect(read('{}')).to.be.an('object');
  });

  it('with a field twice is refused, since two readers would see two bills', () => {
    const again = text.replace('{', '{ "receipt": {}, ');
    expect(() => read(again)).to.throw(MalformedBillFile, 'twice');
    const otherSpelling = text.replace('{', '{ "work_order": {}, ');
    expect(() => read(otherSpelling)).to.throw(MalformedBillFile, 'twice');
    const inside = text.replace('"payload":', '"payload": "", "pay\\u006coad":');
    expect(() => read(inside)).to.throw(MalformedBillFile, 'twice');
  });

  const hostile: readonly [string, string][] = [
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['a number', '1'],
    ['JSON cut off', '{"receipt": {'],
    ['an unknown field', '{"receipts": {}}'],
    ['a prototype', '{"__proto__": {}}'],
    ['a payload that is no base64', '{"receipt": {"payload": "*"}}'],
    ['a payload that is a number', '{"receipt": {"payload": 1}}'],
    ['a chain that is a text', '{"receiptChain": "AA=="}'],
    ['brackets nested deep', `{"receiptChain": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['a long text full of escapes', `{"receipt": {"payloadType": "${'\\"'.repeat(100_000)}`],
  ];
  for (const [title, content] of hostile) {
    it(`with ${title} is refused`, () => {
      expect(() => read(content)).to.throw(MalformedBillFile);
    });
  }

  it('that is too large, or not UTF-8, is refused', () => {
    const large = Buffer.alloc(MAX_BILL_FILE_BYTES + 1, ' ');
    expect(() => readBillFile(large)).to.throw(MalformedBillFile, String(MAX_BILL_FILE_BYTES));
    expect(() => readBillFile(Buffer.from([0x7b, 0xff, 0x7d]))).to.throw(MalformedBillFile);
  });
});
