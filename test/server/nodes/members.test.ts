import { expect } from 'chai';
import fc from 'fast-check';
import type { Beat } from '../../../server/nodes/beat.ts';
import type { FleetRow } from '../../../server/nodes/liveness-store.ts';
import { Members } from '../../../server/nodes/members.ts';

const BEAT: Beat = {
  atMs: 1_000,
  grantedIntervalMs: 15_000,
  slots: 1,
  attemptIds: [],
  agentVersion: '',
  engineVersion: '',
  residentMemoryBytes: 0n,
  fuelSinceStart: 0n,
};
const row = (changes: Partial<FleetRow> = {}): FleetRow => ({
  nodeId: 'n-a',
  standing: 'enrolled',
  isLive: true,
  newest: null,
  revision: 0,
  ...changes,
});
const READ = { isHeard: false };

describe('what a replica knows of a node', () => {
  it('is what the newest row says, in whatever order rows were read', () => {
    const rows = fc.array(
      fc.record({
        revision: fc.nat(20),
        standing: fc.constantFrom('enrolled', 'cordoned', 'draining', 'revoked' as const),
        isLive: fc.boolean(),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(rows, (read) => {
        const members = new Members();
        // Rows of one revision are one row.
        const unique = new Map(read.map((one) => [one.revision, one]));
        const inOrder = read.map(({ revision }) => unique.get(revision)!);
        for (const one of inOrder) members.apply(row(one), READ);
        const newest = unique.get(Math.max(...unique.keys()))!;
        expect(members.get('n-a')).to.include({
          standing: newest.standing,
          isLive: newest.isLive,
        });
        expect(members.liveCount).to.equal(newest.isLive ? 1 : 0);
      }),
    );
  });

  it('is that it lives, when a beat was heard that no row can know of', () => {
    const members = new Members();
    members.apply(row({ isLive: false }), READ);
    members.heard('n-a', BEAT);
    members.apply(row({ isLive: false, standing: 'cordoned', revision: 1 }), { isHeard: true });
    expect(members.get('n-a')).to.include({ isLive: true, standing: 'cordoned' });
    expect(members.liveCount).to.equal(1);
    members.apply(row({ isLive: false, revision: 2 }), READ);
    expect(members.liveCount).to.equal(0);
  });

  it('is the same stream, as long as rows name the same: nobody is superseded by himself', () => {
    const members = new Members();
    const newest = { streamId: Uint8Array.of(1, 2), firstBeatMs: 5 };
    members.apply(row({ newest }), READ);
    members.apply(
      row({ newest: { streamId: Buffer.of(1, 2), firstBeatMs: 5 }, revision: 1 }),
      READ,
    );
    expect(members.get('n-a')?.newest).to.equal(newest);
    const younger = { streamId: Uint8Array.of(3), firstBeatMs: 6 };
    members.apply(row({ newest: younger, revision: 2 }), READ);
    expect(members.get('n-a')?.newest).to.equal(younger);
  });

  it('is nothing of a node that is none', () => {
    const members = new Members();
    expect(members.heard('n-nobody', BEAT)).to.equal(false);
    expect(members.get('n-nobody')).to.equal(undefined);
    expect(members.counts()).to.deep.equal([]);
  });

  it('is counted by standing and liveness', () => {
    const members = new Members();
    for (const [nodeId, standing, isLive] of [
      ['n-a', 'enrolled', true],
      ['n-b', 'enrolled', true],
      ['n-c', 'draining', false],
    ] as const) {
      members.apply(row({ nodeId, standing, isLive }), READ);
    }
    expect(members.counts()).to.deep.equal([
      { standing: 'enrolled', liveness: 'live', nodes: 2 },
      { standing: 'draining', liveness: 'lost', nodes: 1 },
    ]);
  });
});
