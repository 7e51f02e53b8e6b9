// The queue between clients on a model of it: one client after another is given a slot as placement does it.
import { expect } from 'chai';
import fc from 'fast-check';
import { burnCharge, fairOrder, leaseCharge, startOf } from '../../../server/jobs/queue.ts';

interface Client {
  readonly clientId: string;
  readonly weight: number;
  /** What each of its jobs burns. */
  readonly fuel: bigint;
  waiting: number;
  virtualTime: bigint;
  burnt: bigint;
  placed: number;
}

function client(clientId: string, options: Partial<Client> = {}): Client {
  return {
    clientId,
    weight: 1,
    fuel: 0n,
    waiting: 1_000_000,
    virtualTime: 0n,
    burnt: 0n,
    placed: 0,
    ...options,
  };
}

/** A few slots: a job's receipt comes when so many others were placed after it. */
class Nodes {
  readonly #clients: readonly Client[];
  readonly #slots: number;
  readonly #running: Client[] = [];
  lastStart = 0n;

  constructor(clients: readonly Client[], slots: number) {
    this.#clients = clients;
    this.#slots = slots;
  }

  /** Gives the next slot; answers whose job got it. */
  place(): Client {
    if (this.#running.length === this.#slots) this.#end(this.#running.shift()!);
    const turns = this.#clients
      .filter(({ waiting }) => waiting > 0)
      .map((one) => ({ ...one, jobIds: [one.clientId] }));
    const [next] = fairOrder(turns, { lastStart: this.lastStart, limit: 1 });
    const chosen = this.#clients.find(({ clientId }) => clientId === next)!;
    const start = startOf(chosen.virtualTime, this.lastStart);
    this.lastStart = start > this.lastStart ? start : this.lastStart;
    chosen.virtualTime = start + leaseCharge(chosen.weight);
    chosen.waiting--;
    chosen.placed++;
    this.#running.push(chosen);
    return chosen;
  }

  #end(ended: Client): void {
    ended.virtualTime += burnCharge(ended.fuel, ended.weight);
    ended.burnt += ended.fuel;
  }
}

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 6 });
const fuels = fc.constantFrom(0n, 1_000n, 10_000_000n, 1_000_000_000n);

describe('the queue between clients', () => {
  it('gives jobs that are alike in proportion to the weights', () => {
    fc.assert(
      fc.property(weights, fuels, fc.integer({ min: 1, max: 8 }), (all, fuel, slots) => {
        const clients = all.map((weight, index) => client(`c-${index}`, { weight, fuel }));
        const nodes = new Nodes(clients, slots);
        const sum = all.reduce((total, weight) => total + weight, 0);
        const rounds = 100;
        for (let index = 0; index < rounds * sum; index++) nodes.place();
        for (const { placed, weight } of clients) {
          // What is in flight is not counted yet: so many places more or less, of a hundred a weight.
          expect(placed / weight).to.be.closeTo(rounds, 10 + 2 * slots);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('shares what the nodes do, not the number of jobs: long ones do not crowd out short ones', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 4 }),
        (ratio, slots) => {
          const long = client('long', { fuel: 1_000_000_000n * BigInt(ratio) });
          const short = client('short', { fuel: 1_000_000_000n });
          const nodes = new Nodes([long, short], slots);
          while (short.placed + long.placed < 2_000) nodes.place();
          const cost = (one: Client) => Number(one.burnt) + 10_000_000 * one.placed;
          expect(cost(long) / cost(short)).to.be.closeTo(1, 0.1);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('lets the first job of a client pass all that wait of others, whatever was before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ weight: fc.integer({ min: 1, max: 1_000 }), fuel: fuels }), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.integer({ min: 0, max: 500 }),
        fuels,
        (others, before, fuel) => {
          const busy = others.map((options, index) => client(`c-${index}`, options));
          const late = client('late', { waiting: 0, fuel });
          const nodes = new Nodes([...busy, late], 4);
          for (let index = 0; index < before; index++) nodes.place();
          late.waiting = 1;
          // Those that start at the same point may come before.
          let passedBy = 0;
          while (nodes.place() !== late) passedBy++;
          expect(passedBy).to.be.at.most(busy.length);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('starves nobody, not even one of the least weight among heavy ones', () => {
    const heavy = [1, 2, 3].map((index) => client(`c-${index}`, { weight: 1_000 }));
    const light = client('light');
    const nodes = new Nodes([...heavy, light], 8);
    for (let index = 0; index < 9_003; index++) nodes.place();
    expect(light.placed).to.be.at.least(3);
  });

  it('gives a client that was idle no credit for it', () => {
    const steady = client('steady');
    const idle = client('idle', { waiting: 0 });
    const nodes = new Nodes([steady, idle], 4);
    for (let index = 0; index < 500; index++) nodes.place();
    idle.waiting = 1_000;
    for (let index = 0; index < 100; index++) nodes.place();
    expect(idle.placed).to.be.within(49, 51);
  });

  it("keeps to each client's own order within a batch", () => {
    const turn = (clientId: string, weight: number, jobs: number) => ({
      clientId,
      weight,
      virtualTime: 0n,
      jobIds: Array.from({ length: jobs }, (_, index) => `${clientId}${index}`),
    });
    const order = fairOrder([turn('a', 1, 3), turn('b', 2, 5)], { lastStart: 0n, limit: 6 });
    expect(order).to.deep.equal(['a0', 'b0', 'b1', 'a1', 'b2', 'b3']);
  });
});
