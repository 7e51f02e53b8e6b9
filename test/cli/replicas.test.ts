import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
} from '@connectrpc/connect';

import { expect } from 'chai';

import { JobService } from '#gen/gapjunction/job/v1/job_pb';

import { isCut, ReplicaTransport } from '../../cli/replicas.ts';

const SILENCE_MS = 20;

type State = 'there' | 'gone' | 'silent' | 'stopping' | 'killed';

describe('a client with the addresses of several replicas', () => {
  let states: State[];
  let asked: number[];
  let client: Client<typeof JobService>;
  beforeEach(() => {
    states = ['there', 'there', 'there'];
    asked = [];
    const replica = (index: number) => ({
      transport: createRouterTransport(({ service }) => {
        service(JobService, {
          getJob: () => {
            answer(index);
            return { job: { jobId: `at ${index}` } };
          },
          async *watchJob() {
            yield { job: { jobId: `at ${index}` } };
            answer(index);
          },
        });
      }),
      sessions: {
        async connect() {
          if (states[index] === 'silent') return new Promise<never>(() => {});
          return states[index] === 'gone' ? ('error' as const) : ('idle' as const);
        },
      },
    });
    const replicas = [replica(0), replica(1), replica(2)];
    client = createClient(JobService, new ReplicaTransport(replicas, SILENCE_MS));
  });

  function answer(index: number): void {
    asked.push(index);
    if (states[index] === 'there') return;
    // As connect-node reports a socket that was reset.
    if (states[index] === 'killed') throw new ConnectError('read ECONNRESET', Code.Aborted);
    throw new ConnectError('this replica is not there', Code.Unavailable);
  }

  async function get(): Promise<string | undefined> {
    return (await client.getJob({ jobId: 'j' })).job?.jobId;
  }

  it('stays with the one that answers', async () => {
    expect([await get(), await get()]).to.deep.equal(['at 0', 'at 0']);
  });

  it('is answered by another when its own cannot be reached', async () => {
    states = ['gone', 'gone', 'there'];
    expect(await get()).to.equal('at 2');
    expect(asked).to.deep.equal([2]);
  });

  it('is answered by another when its own is silent', async () => {
    states = ['silent', 'there', 'there'];
    expect(await get()).to.equal('at 1');
  });

  it('never sends a call again by itself: it may have been carried out', async () => {
    states = ['stopping', 'there', 'there'];
    expect(await get().catch((error: ConnectError) => error.code)).to.equal(Code.Unavailable);
    expect(asked).to.deep.equal([0]);
    expect(await get(), 'the next call goes elsewhere').to.equal('at 1');
  });

  it('goes elsewhere after a replica was killed in the middle of a call', async () => {
    states = ['killed', 'there', 'there'];
    const error = await get().catch((cause: unknown) => cause);
    expect(isCut(error)).to.equal(true);
    expect(await get()).to.equal('at 1');
  });

  it('goes elsewhere with the next watch when one was cut', async () => {
    states = ['stopping', 'there', 'there'];
    const seen: (string | undefined)[] = [];
    for (let watch = 0; watch < 2; watch++) {
      try {
        for await (const { job } of client.watchJob({ jobId: 'j' })) seen.push(job?.jobId);
      } catch (error) {
        expect((error as ConnectError).code).to.equal(Code.Unavailable);
      }
    }
    expect(seen).to.deep.equal(['at 0', 'at 1']);
  });

  it('says why when none is there', async () => {
    states = ['gone', 'gone', 'gone'];
    expect(await get().catch((error: ConnectError) => error.code)).to.equal(Code.Unavailable);
  });
});
