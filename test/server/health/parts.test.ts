import { expect } from 'chai';
import { Parts, type PartStatus } from '../../../server/health/parts.ts';
import { TestClock } from '../../fakes/clock.ts';

describe('the parts that a replica leans on', () => {
  let clock: TestClock;
  let answers: Map<string, () => Promise<unknown>>;
  let changes: { status: PartStatus; cause: unknown }[];
  let parts: Parts;

  beforeEach(() => {
    clock = new TestClock(1_000_000);
    answers = new Map([
      ['database', async () => null],
      ['redis', async () => null],
      ['stripe', async () => null],
    ]);
    changes = [];
    parts = Parts.open({
      clock,
      checks: [...answers.keys()].map((name) => ({
        name,
        needed: name !== 'stripe',
        ask: () => answers.get(name)!(),
      })),
      onChange: (status, cause) => changes.push({ status, cause }),
    });
  });
  afterEach(() => parts.close());

  it('tells which one is down, since when, and why, and takes it back when it answers', async () => {
    expect(parts.isServing()).to.equal(true);
    const cause = new Error('gone');
    answers.set('redis', () => Promise.reject(cause));
    await parts.ask();
    expect(parts.isServing()).to.equal(false);
    expect(parts.of('database')?.up).to.equal(true);
    expect(parts.of('redis')).to.deep.include({ up: false, sinceMs: clock.now() });
    answers.set('redis', async () => null);
    await parts.ask();
    expect(parts.isServing()).to.equal(true);
    expect(changes.map(({ status, cause: why }) => [status.name, status.up, why])).to.deep.equal([
      ['redis', false, cause],
      ['redis', true, null],
    ]);
  });

  it('goes on serving without what calls do not need', async () => {
    answers.set('stripe', () => Promise.reject(new Error('gone')));
    await parts.ask();
    expect(parts.of('stripe')?.up).to.equal(false);
    expect(parts.isServing()).to.equal(true);
  });

  it('counts one that hangs as down, and does not pile up questions on it', async () => {
    let asked = 0;
    const hanging = Promise.withResolvers<null>();
    answers.set('database', () => {
      asked++;
      return hanging.promise;
    });
    const first = parts.ask();
    clock.advance(2_000);
    await first;
    expect(parts.of('database')?.up).to.equal(false);
    await parts.ask();
    expect(asked).to.equal(1);
    hanging.resolve(null);
    await hanging.promise;
  });
});
