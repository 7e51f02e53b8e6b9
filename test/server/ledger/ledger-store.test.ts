// The books on a real database: what the code does, and what the database refuses whatever the code does.
import { expect } from 'chai';
import fc from 'fast-check';
import {
  balanceOf,
  creditClient,
  earningsOf,
  holdForJob,
  ledgerSum,
  releaseJob,
  settleJob,
} from '../../../server/ledger/ledger-store.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { ReferenceBooks } from './reference.ts';

onEachStore('the ledger', (store) => {
  let serial = 0;
  const fresh = (prefix: string) => `${prefix}-${++serial}`;
  const within = <T>(work: (em: EntityManager) => Promise<T>) => store().transaction(work);
  const balance = (clientId: string) => store().read((em) => balanceOf(em, clientId));

  async function fundedClient(microcents: bigint): Promise<string> {
    const clientId = fresh('c');
    const credit = { clientId, requestId: fresh('r'), operatorId: 'o-a', microcents };
    await within((em) => creditClient(em, credit));
    return clientId;
  }

  async function refusal(work: (em: EntityManager) => Promise<unknown>): Promise<unknown> {
    try {
      await within(work);
    } catch (error) {
      return error;
    }
    throw new Error('it was not refused');
  }

  it('holds, settles and pays back, and everybody has what is theirs', async () => {
    const clientId = await fundedClient(1000n);
    const [jobId, nodeId] = [fresh('j'), fresh('n')];
    await within((em) => holdForJob(em, { clientId, jobId, microcents: 600n }));
    expect(await balance(clientId)).to.deep.equal({
      availableMicrocents: 400n,
      heldMicrocents: 600n,
    });
    const charge = { chargeMicrocents: 301n, nodeShareMicrocents: 240n };
    await within((em) => settleJob(em, { clientId, jobId, nodeId, ...charge }));
    expect(await balance(clientId)).to.deep.equal({
      availableMicrocents: 699n,
      heldMicrocents: 0n,
    });
    expect(await store().read((em) => earningsOf(em, nodeId))).to.deep.equal({
      pendingMicrocents: 240n,
      settledJobs: 1n,
    });
  });

  it('counts a job that cost nothing as settled', async () => {
    const clientId = await fundedClient(0n);
    const [jobId, nodeId] = [fresh('j'), fresh('n')];
    const free = { chargeMicrocents: 0n, nodeShareMicrocents: 0n };
    await within((em) => holdForJob(em, { clientId, jobId, microcents: 0n }));
    await within((em) => settleJob(em, { clientId, jobId, nodeId, ...free }));
    expect((await store().read((em) => earningsOf(em, nodeId))).settledJobs).to.equal(1n);
  });

  it('tells a client whose balance is too low what is needed and what is there', async () => {
    const clientId = await fundedClient(99n);
    const hold = { clientId, jobId: fresh('j'), microcents: 100n };
    const error = await refusal((em) => holdForJob(em, hold));
    expect(error).to.be.instanceOf(RpcError).with.property('reason', 'BALANCE_TOO_LOW');
    expect(error).to.have.deep.property('metadata', {
      needed_microcents: '100',
      available_microcents: '99',
    });
    expect(await balance(clientId)).to.deep.equal({ availableMicrocents: 99n, heldMicrocents: 0n });
  });

  it('holds nothing for a client that never had anything', async () => {
    const hold = { clientId: fresh('c'), jobId: fresh('j'), microcents: 1n };
    expect(await refusal((em) => holdForJob(em, hold))).to.have.property(
      'reason',
      'BALANCE_TOO_LOW',
    );
  });

  it('pays a job once: a second settlement or a release after it is refused', async () => {
    const clientId = await fundedClient(1000n);
    const [jobId, nodeId] = [fresh('j'), fresh('n')];
    // Another hold beside it, which a second payment could otherwise be taken from.
    const other = { clientId, jobId: fresh('j'), microcents: 500n };
    await within((em) => holdForJob(em, other));
    await within((em) => holdForJob(em, { clientId, jobId, microcents: 500n }));
    const charge = { chargeMicrocents: 500n, nodeShareMicrocents: 400n };
    const settle = (em: EntityManager) => settleJob(em, { clientId, jobId, nodeId, ...charge });
    const release = (em: EntityManager) => releaseJob(em, { clientId, jobId });
    await within(settle);
    expect(await refusal(settle)).to.have.property('code', '23505');
    expect(await refusal(release)).to.have.property('code', '23505');
    await within((em) => releaseJob(em, other));
    expect(await refusal((em) => releaseJob(em, other))).to.have.property('code', '23505');
    expect(await balance(clientId)).to.deep.equal({
      availableMicrocents: 500n,
      heldMicrocents: 0n,
    });
    expect((await store().read((em) => earningsOf(em, nodeId))).pendingMicrocents).to.equal(400n);
  });

  it('never charges more than was held, nor from another client', async () => {
    const [clientId, stranger] = [await fundedClient(1000n), await fundedClient(1000n)];
    const [jobId, nodeId] = [fresh('j'), fresh('n')];
    await within((em) => holdForJob(em, { clientId, jobId, microcents: 100n }));
    const share = { nodeShareMicrocents: 80n, nodeId, jobId };
    const tooMuch = { clientId, chargeMicrocents: 101n, ...share };
    const foreign = { clientId: stranger, chargeMicrocents: 100n, ...share };
    for (const wrong of [tooMuch, foreign]) {
      expect(await refusal((em) => settleJob(em, wrong))).to.match(/there is no hold of/);
    }
    expect(await refusal((em) => releaseJob(em, { clientId: stranger, jobId }))).to.match(
      /has none/,
    );
  });

  it('credits once however often it is asked, and refuses the id for anything else', async () => {
    const [clientId, requestId] = [fresh('c'), fresh('r')];
    const credit = { clientId, requestId, operatorId: 'o-a', microcents: 70n };
    await Promise.all([1, 2, 3].map(() => within((em) => creditClient(em, credit))));
    for (const other of [{ microcents: 71n }, { clientId: fresh('c') }]) {
      const error = await refusal((em) => creditClient(em, { ...credit, ...other }));
      expect(error).to.have.property('reason', 'REQUEST_ID_REUSED');
    }
    expect((await balance(clientId)).availableMicrocents).to.equal(70n);
  });

  it('does not lose a hold among many at once, and overdraws nobody', async () => {
    const clientId = await fundedClient(10n);
    const jobs = Array.from({ length: 16 }, () => fresh('j'));
    const outcomes = await Promise.allSettled(
      jobs.map((jobId) => within((em) => holdForJob(em, { clientId, jobId, microcents: 1n }))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.length(10);
    expect(await balance(clientId)).to.deep.equal({ availableMicrocents: 0n, heldMicrocents: 10n });
    // Settled all at once, by two nodes and beside each other.
    const held = jobs.filter((_, at) => outcomes[at]?.status === 'fulfilled');
    const [first, second] = [fresh('n'), fresh('n')];
    const charge = { chargeMicrocents: 1n, nodeShareMicrocents: 1n };
    await Promise.all(
      held.map((jobId, at) =>
        within((em) =>
          settleJob(em, { clientId, jobId, nodeId: at % 2 === 0 ? first : second, ...charge }),
        ),
      ),
    );
    expect(await balance(clientId)).to.deep.equal({ availableMicrocents: 0n, heldMicrocents: 0n });
    expect((await store().read((em) => earningsOf(em, first))).settledJobs).to.equal(5n);
    expect((await store().read((em) => earningsOf(em, second))).pendingMicrocents).to.equal(5n);
  });

  describe('refuses in the database, whatever code comes', () => {
    const insert = (key: string, lines: readonly string[]) => (em: EntityManager) =>
      query(
        em,
        `with t as (insert into ledger_transaction values ($1, 'hold', null, 0))
         insert into ledger_posting values ${lines.map((line) => `($1, ${line})`).join(', ')}`,
        [key],
      );

    it('postings that do not sum to zero', async () => {
      const error = await refusal(
        insert(fresh('hold:j'), [`'client_held', 'c-x', 5`, `'operator_funding', 'o-x', -4`]),
      );
      expect(error).to.have.property('constraint', 'ledger_posting_sum');
    });

    it('a posting without its transaction', async () => {
      const orphan = (em: EntityManager) =>
        query(em, `insert into ledger_posting values ('x', 'client_held', 'c-x', 0)`);
      expect(await refusal(orphan)).to.have.property('constraint', 'ledger_posting_sum');
    });

    it('a client balance below zero', async () => {
      const clientId = await fundedClient(4n);
      const error = await refusal(
        insert(fresh('hold:j'), [
          `'client_available', '${clientId}', -5`,
          `'client_held', '${clientId}', 5`,
        ]),
      );
      expect(error).to.have.property('constraint', 'client_balance_available_check');
    });

    it('a balance past its bound, without wrapping around', async () => {
      const lines = [
        `'client_available', 'c-rich', 9000000000000000000`,
        `'operator_funding', 'o-x', -9000000000000000000`,
      ];
      expect(await refusal(insert(fresh('hold:j'), lines))).to.have.property(
        'constraint',
        'client_balance_available_check',
      );
    });

    for (const statement of [
      'update ledger_posting set microcents = 0',
      'delete from ledger_posting',
      'truncate ledger_posting',
      `update ledger_transaction set kind = 'hold'`,
      'delete from ledger_transaction',
      'truncate ledger_transaction',
    ]) {
      it(`'${statement}'`, async () => {
        expect(await refusal((em) => query(em, statement))).to.match(/what is posted stays/);
      });
    }
  });

  it('says what a ledger in memory says, after random sequences of events', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(4), fc.nat(3), fc.nat(2), fc.nat(1000)), {
          minLength: 1,
          maxLength: 25,
        }),
        async (steps) => {
          const run = fresh('run');
          const books = new ReferenceBooks();
          const clients = [0, 1, 2, 3].map((n) => `c-${run}-${n}`);
          const nodes = [0, 1, 2].map((n) => `n-${run}-${n}`);
          for (const [at, [what, client, node, size]] of steps.entries()) {
            const clientId = clients[client] ?? '';
            const nodeId = nodes[node] ?? '';
            await step({ books, run, at, what, clientId, nodeId, microcents: BigInt(size) });
          }
          for (const clientId of clients) {
            expect(await balance(clientId)).to.deep.equal({
              availableMicrocents: books.balance('client_available', clientId),
              heldMicrocents: books.balance('client_held', clientId),
            });
          }
          for (const nodeId of nodes) {
            expect(await store().read((em) => earningsOf(em, nodeId))).to.deep.equal({
              pendingMicrocents: books.balance('node_pending', nodeId),
              settledJobs: books.settledJobs(nodeId),
            });
          }
          await expectSamePostings(books);
        },
      ),
      { numRuns: 15 },
    );
    expect(await store().read(ledgerSum)).to.equal(0n);
  });

  interface Step {
    readonly books: ReferenceBooks;
    readonly run: string;
    readonly at: number;
    readonly what: number;
    readonly clientId: string;
    readonly nodeId: string;
    readonly microcents: bigint;
  }

  /** The same event to both; what the reference cannot afford, the database has to refuse. */
  async function step({ books, run, at, what, clientId, nodeId, microcents }: Step): Promise<void> {
    const jobId = `j-${run}-${at}`;
    const open = books.openJobs()[Number(microcents) % Math.max(1, books.openJobs().length)];
    const hold = open === undefined ? undefined : books.openHold(open);
    if (what === 0) {
      const credit = { clientId, requestId: `${run}-${at}`, operatorId: 'o-a', microcents };
      await within((em) => creditClient(em, credit));
      books.post({ kind: 'credit', ...credit });
    } else if (what <= 2 || open === undefined || hold === undefined) {
      const work = (em: EntityManager) => holdForJob(em, { clientId, jobId, microcents });
      if (microcents > books.balance('client_available', clientId)) {
        expect(await refusal(work)).to.have.property('reason', 'BALANCE_TOO_LOW');
      } else if (microcents > 0n) {
        await within(work);
        books.post({ kind: 'hold', clientId, jobId, microcents });
      }
    } else if (what === 3) {
      const chargeMicrocents = (hold.microcents * 3n) / 4n;
      const nodeShareMicrocents = (chargeMicrocents * 8n) / 10n;
      const job = { clientId: hold.clientId, jobId: open, nodeId };
      const amounts = { chargeMicrocents, nodeShareMicrocents };
      await within((em) => settleJob(em, { ...job, ...amounts }));
      books.post({ kind: 'settle', ...job, ...amounts, heldMicrocents: hold.microcents });
    } else {
      const job = { clientId: hold.clientId, jobId: open };
      await within((em) => releaseJob(em, job));
      books.post({ kind: 'release', ...job, heldMicrocents: hold.microcents });
    }
  }

  async function expectSamePostings(books: ReferenceBooks): Promise<void> {
    for (const [key, postings] of books.postings()) {
      const rows = await store().read((em) =>
        query<{ account: string; holder_id: string; microcents: string }>(
          em,
          `select account, holder_id, microcents::text as microcents from ledger_posting where transaction_key = $1`,
          [key],
        ),
      );
      const lines = rows.map((row) => `${row.account}/${row.holder_id} ${row.microcents}`);
      expect(lines).to.have.members(
        postings.map((line) => `${line.account}/${line.holderId} ${line.microcents}`),
      );
    }
  }
});
