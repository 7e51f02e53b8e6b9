import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'chai';

import { BillStore, findBill } from '../../../agent/jobs/bill-store.ts';
import { Journal } from '../../../agent/jobs/journal.ts';
import type { SignedReceipt } from '../../../agent/jobs/receipt.ts';
import type { AgentFolder } from '../../../agent/folder.ts';
import type { Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { decodeReceipt } from '../../../protocol/bill/receipt.ts';
import { taskIdOf } from '../../../protocol/bill/task-id.ts';
import { decodeWorkOrder } from '../../../protocol/bill/work-order.ts';
import { temporaryFolder } from '../../fakes/agent.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { makeBill } from '../../fakes/bill.ts';

const attempt = (letter: string): string => `a-${letter.repeat(20)}`;
const job = (letter: string): string => `j-${letter.repeat(20)}`;

describe('what an agent keeps of its jobs', () => {
  let folder: AgentFolder;
  let dispose: () => void;
  let bills: Bill[];
  before(async () => {
    const authority = await TestAuthority.create();
    bills = await Promise.all(
      ['b', 'c', 'd'].map((letter) =>
        makeBill(authority, { order: { attemptId: attempt(letter), jobId: job(letter) } }),
      ),
    );
  });
  beforeEach(() => {
    ({ folder, dispose } = temporaryFolder());
  });
  afterEach(() => dispose());

  const logFile = (): string => join(folder.journalFolder, 'receipts.log');
  function receipt(at: number, output: Uint8Array = Buffer.from('output')): SignedReceipt {
    const bill = bills[at];
    if (bill?.receipt === undefined || bill.workOrder === undefined) throw new Error('no bill');
    const { attemptId, jobId } = decodeWorkOrder(bill.workOrder.payload);
    const { end, endDetail } = decodeReceipt(bill.receipt.payload);
    const taskId = taskIdOf(bill.workOrder.payload);
    return {
      taskId,
      attemptId,
      jobId,
      requestId: '',
      end,
      endDetail,
      output,
      bill: { ...bill, receipt: bill.receipt },
    };
  }

  it('has the logs that were not sent after a kill, and after it was written anew', () => {
    const before = new Journal(folder.journalFolder);
    before.write(receipt(0), Buffer.from('said'));
    before.write(receipt(1, new Uint8Array(3_000_000)));
    before.write(receipt(2, new Uint8Array(64 * 2 ** 20)));
    before.close();
    const after = new Journal(folder.journalFolder);
    const logs = () => Buffer.from(after.readLogs(attempt('b'))).toString();
    expect(logs()).to.equal('said');
    expect(after.readLogs(attempt('c'))).to.have.length(0);
    after.erase(attempt('d'));
    expect(statSync(logFile()).size).to.be.lessThan(4_000_000);
    expect(logs()).to.equal('said');
    after.erase(attempt('b'));
    expect(logs()).to.equal('');
    after.erase(attempt('c'));
    expect(statSync(logFile()).size).to.equal(0);
    after.close();
  });

  it('hands in the very same receipt after a kill', () => {
    const before = new Journal(folder.journalFolder);
    before.write(receipt(0));
    before.write(receipt(1, new Uint8Array(3_000_000).fill(7)));
    // A killed process closes nothing; what it wrote is there.
    const after = new Journal(folder.journalFolder);
    expect(after.attemptIds()).to.deep.equal([attempt('b'), attempt('c')]);
    const again = after.read(attempt('b'));
    expect(again?.bill.receipt).to.deep.equal(receipt(0).bill.receipt);
    expect(again?.taskId).to.deep.equal(receipt(0).taskId);
    expect(after.read(attempt('c'))?.output.length).to.equal(3_000_000);
    before.close();
    after.close();
  });

  it('keeps nothing of a job on disk once it is answered', () => {
    const journal = new Journal(folder.journalFolder);
    journal.write(receipt(0));
    journal.write(receipt(1));
    journal.erase(attempt('b'));
    expect(journal.read(attempt('b'))).to.equal(null);
    expect(journal.read(attempt('c'))?.jobId).to.equal(job('c'));
    journal.erase(attempt('c'));
    expect(statSync(logFile()).size).to.equal(0);
    journal.close();
  });

  it('forgets what was erased also after a kill', () => {
    const before = new Journal(folder.journalFolder);
    for (const at of [0, 1]) before.write(receipt(at));
    before.erase(attempt('b'));
    const after = new Journal(folder.journalFolder);
    expect(after.attemptIds()).to.deep.equal([attempt('c')]);
    before.close();
    after.close();
  });

  it('drops a receipt that was cut at any byte, and no other', () => {
    const first = new Journal(folder.journalFolder);
    first.write(receipt(0));
    const wholeBytes = statSync(logFile()).size;
    first.write(receipt(1));
    first.close();
    const bytes = readFileSync(logFile());
    for (let length = wholeBytes + 1; length < bytes.length; length += 97) {
      writeFileSync(logFile(), bytes.subarray(0, length));
      const journal = new Journal(folder.journalFolder);
      expect(journal.attemptIds(), `cut at ${length}`).to.deep.equal([attempt('b')]);
      expect(journal.tornBytes).to.equal(length - wholeBytes);
      journal.write(receipt(2));
      journal.close();
      const again = new Journal(folder.journalFolder);
      expect(again.attemptIds()).to.deep.equal([attempt('b'), attempt('d')]);
      again.close();
    }
  });

  it('never trusts a record whose bytes were changed', () => {
    const first = new Journal(folder.journalFolder);
    first.write(receipt(0));
    first.close();
    const bytes = readFileSync(logFile());
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    writeFileSync(logFile(), bytes);
    const journal = new Journal(folder.journalFolder);
    expect(journal.attemptIds()).to.deep.equal([]);
    journal.close();
  });

  it('reads garbage of any length as nothing', () => {
    for (const length of [0, 1, 36, 37, 5_000]) {
      writeFileSync(logFile(), Buffer.alloc(length, 0xff));
      const journal = new Journal(folder.journalFolder);
      expect(journal.attemptIds()).to.deep.equal([]);
      journal.close();
    }
  });

  it('finds every bill again, and drops the oldest when there are too many', () => {
    const store = new BillStore(folder.billFolder, { maxSegmentBytes: 1, maxSegments: 3 });
    for (const [at, bill] of bills.entries()) store.keep(bill, { jobId: receipt(at).jobId });
    store.close();
    // Each has a segment of its own here, and the third place is for the next.
    expect(findBill(folder.billFolder, job('b'))).to.equal(null);
    expect(findBill(folder.billFolder, job('c'))).to.deep.equal(bills[1]);
    expect(findBill(folder.billFolder, job('d'))).to.deep.equal(bills[2]);
  });

  it('finds a bill behind one that was half written when the agent was killed', () => {
    const first = new BillStore(folder.billFolder);
    first.keep(bills[0] as Bill, { jobId: job('b') });
    first.close();
    appendFileSync(join(folder.billFolder, 'bills-000000001.jsonl'), `{"jobId":"${job('c')}","bi`);
    const second = new BillStore(folder.billFolder);
    second.keep(bills[2] as Bill, { jobId: job('d') });
    second.close();
    expect(findBill(folder.billFolder, job('b'))).to.deep.equal(bills[0]);
    expect(findBill(folder.billFolder, job('d'))).to.deep.equal(bills[2]);
    expect(findBill(folder.billFolder, job('c'))).to.equal(null);
  });
});
