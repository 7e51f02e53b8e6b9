import { expect } from 'chai';
import { CheckTurns } from '../../../server/jobs/check-turns.ts';
import { expectRefusal } from '../expect-refusal.ts';

/** Checks that end when the test says so. */
class Checks {
  readonly turns = new CheckTurns<string>();
  readonly begun: string[] = [];
  readonly #gates = new Map<string, PromiseWithResolvers<void>>();

  take(clientId: string, key: string): Promise<string> {
    return this.turns.take({
      clientId,
      key,
      check: async () => {
        this.begun.push(key);
        await this.#gate(key).promise;
        this.#gates.delete(key);
        if (key.startsWith('bad')) throw new Error(key);
        return key;
      },
    });
  }

  end(key: string): void {
    this.#gate(key).resolve();
  }

  #gate(key: string): PromiseWithResolvers<void> {
    const gate = this.#gates.get(key) ?? Promise.withResolvers<void>();
    this.#gates.set(key, gate);
    return gate;
  }
}

describe('the turns of modules to be checked', () => {
  it('go round the clients: one that sends many is not served before all others', async () => {
    const checks = new Checks();
    const first = checks.take('greedy', 'g1');
    const rest = ['g2', 'g3', 'g4'].map((key) => checks.take('greedy', key));
    const other = checks.take('other', 'o1');
    checks.end('g1');
    await first;
    checks.end('g2');
    await rest[0];
    checks.end('o1');
    expect(await other).to.equal('o1');
    expect(checks.begun.slice(0, 3)).to.deep.equal(['g1', 'g2', 'o1']);
  });

  it('are few for each client, and one that has too many keeps no other from its own', async () => {
    const checks = new Checks();
    const keys = ['g0', 'g1', 'g2', 'g3', 'g4'];
    const all = keys.map((key) => checks.take('greedy', key));
    await expectRefusal(checks.take('greedy', 'g5'), 'RESOURCE_EXHAUSTED', 'CHECKER_BUSY');
    const other = checks.take('other', 'o1');
    const answers: string[] = [];
    for (const key of ['g0', 'g1', 'o1', 'g2', 'g3', 'g4']) {
      checks.end(key);
      answers.push(await (key === 'o1' ? other : all[keys.indexOf(key)]!));
    }
    expect(answers).to.deep.equal(checks.begun);
  });

  it('check one module once for all who ask meanwhile, and again after it failed', async () => {
    const checks = new Checks();
    const asked = ['a', 'b', 'c'].map((clientId) =>
      checks.take(clientId, 'bad').catch((cause: Error) => cause.message),
    );
    checks.end('bad');
    expect(await Promise.all(asked)).to.deep.equal(['bad', 'bad', 'bad']);
    expect(checks.begun).to.deep.equal(['bad']);
    const again = checks.take('a', 'bad').catch((cause: Error) => cause.message);
    checks.end('bad');
    await again;
    expect(checks.begun).to.deep.equal(['bad', 'bad']);
  });
});
