// On PostgreSQL a transaction's first statement brings the begin with it: on a connection that is new, and,
// another way, on one that has begun transactions before.
import { expect } from 'chai';
import { query, together } from '../../../server/store/query.ts';
import { onEachStore } from '../../fakes/stores.ts';

const ROUNDS = [1, 2, 3];

onEachStore('a transaction', (store) => {
  before(() =>
    store().transaction((em) => query(em, 'create table note (words text primary key)')),
  );

  const notes = async (): Promise<readonly string[]> => {
    const rows = await store().read((em) =>
      query<{ words: string }>(em, 'select words from note order by words'),
    );
    return rows.map(({ words }) => words);
  };
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => null,
      (error: Error) => error.message,
    );

  for (const round of ROUNDS) {
    it(`leaves nothing when it fails after its first statement, time ${round}`, async () => {
      const work = store().transaction(async (em) => {
        await query(em, 'insert into note values ($1)', ['undone']);
        throw new Error('changed my mind');
      });
      expect(await failureOf(work)).to.equal('changed my mind');
      expect(await notes()).to.not.include('undone');
    });

    it(`leaves nothing when a later statement fails, time ${round}`, async () => {
      const work = store().transaction(async (em) => {
        await query(em, 'insert into note values ($1)', ['undone']);
        await query(em, 'insert into note values ($1)', ['undone']);
      });
      expect(await failureOf(work)).to.contain('duplicate key');
      expect(await notes()).to.not.include('undone');
    });

    it(`fails with its first statement, and the next one goes on, time ${round}`, async () => {
      const work = store().transaction((em) => query(em, 'select 1 / $1::int as ratio', [0]));
      expect(await failureOf(work)).to.contain('division by zero');
      const answer = await store().transaction(async (em) => {
        await query(em, 'insert into note values ($1)', [`done ${round}`]);
        return query<{ words: string }>(em, 'select words from note where words = $1', [
          `done ${round}`,
        ]);
      });
      expect(answer).to.deep.equal([{ words: `done ${round}` }]);
      expect(await notes()).to.include(`done ${round}`);
    });

    it(`runs what is sent together in its order, each after what the one before changed, time ${round}`, async () => {
      const words = `together ${round}`;
      const found = await store().transaction(async (em) => {
        const [, rows] = await together([
          // Not prepared yet, which the second one is: it must not overtake.
          query(em, `insert into note values ($1) /* ${round} */`, [words]),
          query<{ words: string }>(em, 'select words from note where words = $1', [words]),
        ]);
        return rows;
      });
      expect(found).to.deep.equal([{ words }]);
      expect(await notes()).to.include(words);
    });

    it(`leaves nothing when one of those sent together fails, and tells which, time ${round}`, async () => {
      const work = store().transaction((em) =>
        together([
          query(em, 'insert into note values ($1)', ['undone']),
          query(em, 'select 1 / $1::int as ratio', [0]),
          query(em, 'insert into note values ($1)', ['undone too']),
        ]),
      );
      expect(await failureOf(work)).to.contain('division by zero');
      expect(await notes()).to.not.include.members(['undone', 'undone too']);
    });

    it(`without a statement is none, time ${round}`, async () => {
      expect(await store().transaction(async () => 'nothing')).to.equal('nothing');
      const work = store().transaction(async () => {
        throw new Error('nothing at all');
      });
      expect(await failureOf(work)).to.equal('nothing at all');
      expect(await notes()).to.include(`done ${round}`);
    });
  }

  it('of many at once is on a connection of its own: all of them stand', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        store().transaction((em) => query(em, 'insert into note values ($1)', [`many ${at}`])),
      ),
    );
    const many = (await notes()).filter((words) => words.startsWith('many'));
    expect(many).to.have.length(20);
  });

  it('runs what is sent together in its order on connections that are new', async () => {
    const found = await Promise.all(
      Array.from({ length: 16 }, (_, at) =>
        store().transaction(async (em) => {
          const [, rows] = await together([
            query(em, 'insert into note values ($1)', [`new ${at}`]),
            query(em, 'select words from note where words = $1', [`new ${at}`]),
          ]);
          return rows.length;
        }),
      ),
    );
    expect(found).to.deep.equal(Array.from({ length: 16 }, () => 1));
  });
});
