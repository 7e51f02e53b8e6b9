import { randomUUID } from 'node:crypto';

import { expect } from 'chai';
import { Code, ConnectError } from '@connectrpc/connect';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { Liveness, NodeAdminService, Standing } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { type HeartbeatRequest, RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { startStripeSimulator, type StripeSimulator } from '../../../stripe-simulator/simulator.ts';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { BeatStream, enrolNode, type TestNode } from '../../fakes/node.ts';

describe('a heartbeat over the wire', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  let node: TestNode;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({
      settings: {
        stripeSimulatorUrl: simulator.url,
        enrolmentsPerAddressPerSecond: 1_000,
        enrolmentBurstPerAddress: 1_000,
      },
    });
    node = await enrolNode(controlPlane, 'Heartbeat');
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  const admin = () => controlPlane.clientFor(NodeAdminService, controlPlane.operator);

  it('makes its node live, tells when to beat next, and shows an operator what it said', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    const answer = await stream.exchange(stream.beat({ metrics: { slots: 7 } }));
    expect(answer.case).to.equal('answer');
    if (answer.case === 'answer') {
      const { nextIntervalMs, lostAfterMs } = answer.value;
      expect(Number(nextIntervalMs)).to.be.within(13_500, 16_500);
      expect(lostAfterMs).to.equal(4n * nextIntervalMs);
    }
    expect((await stream.exchange(stream.beat({ metrics: { slots: 7 } }))).case).to.equal('answer');
    const shown = await admin().getNode({ nodeId: node.id });
    expect(shown.node).to.include({
      nodeId: node.id,
      standing: Standing.ENROLLED,
      liveness: Liveness.LIVE,
      slots: 7,
      agentVersion: 'test 1',
    });
    expect(shown.node?.stripeAccountId).to.match(/^acct_/);
    stream.close();
  });

  const hostile: readonly [string, RefusalReason, (stream: BeatStream) => HeartbeatRequest][] = [
    ['a nonce of 15 bytes', RefusalReason.MALFORMED, (s) => s.beat({ nonce: new Uint8Array(15) })],
    [
      'a MAC of 31 bytes',
      RefusalReason.MALFORMED,
      (s) => ({ ...s.beat(), mac: new Uint8Array(31) }),
    ],
    [
      'metrics above 4 KiB',
      RefusalReason.MALFORMED,
      (s) =>
        s.seal({
          timestampMs: BigInt(Date.now()),
          nonce: new Uint8Array(16),
          metrics: new Uint8Array(4_097),
        }),
    ],
    [
      'metrics that are no message',
      RefusalReason.MALFORMED,
      (s) =>
        s.seal({
          timestampMs: BigInt(Date.now()),
          nonce: new Uint8Array(16),
          metrics: Buffer.from('ff', 'hex'),
        }),
    ],
    [
      'more slots than any machine has',
      RefusalReason.MALFORMED,
      (s) => s.beat({ metrics: { slots: 1_025 } }),
    ],
    [
      'a version that could write on a terminal',
      RefusalReason.MALFORMED,
      (s) => s.beat({ metrics: { agentVersion: '\u001b[2J' } }),
    ],
    [
      'more fuel than the database holds',
      RefusalReason.MALFORMED,
      (s) => s.beat({ metrics: { fuelSinceStart: 2n ** 63n } }),
    ],
    ['a changed MAC', RefusalReason.BAD_MAC, (s) => ({ ...s.beat(), mac: new Uint8Array(32) })],
    ['a changed time', RefusalReason.BAD_MAC, (s) => ({ ...s.beat(), timestampMs: 1n })],
    ['a changed nonce', RefusalReason.BAD_MAC, (s) => ({ ...s.beat(), nonce: new Uint8Array(16) })],
    [
      'changed metrics',
      RefusalReason.BAD_MAC,
      (s) => ({ ...s.beat(), metrics: new Uint8Array(3) }),
    ],
    ['another key id', RefusalReason.BAD_MAC, (s) => ({ ...s.beat(), keyId: 99 })],
    [
      'a time of 61 s ago',
      RefusalReason.CLOCK_OUT_OF_WINDOW,
      (s) => s.beat({ timestampMs: Date.now() - 61_000 }),
    ],
    [
      'a time 70 s ahead',
      RefusalReason.CLOCK_OUT_OF_WINDOW,
      (s) => s.beat({ timestampMs: Date.now() + 70_000 }),
    ],
    [
      'the id of another stream',
      RefusalReason.WRONG_STREAM,
      (s) => s.beat({ metrics: { streamId: new Uint8Array(16) } }),
    ],
    [
      'a sequence left out',
      RefusalReason.WRONG_SEQUENCE,
      (s) => s.beat({ metrics: { sequence: 2n } }),
    ],
  ];
  for (const [what, reason, make] of hostile) {
    it(`is refused with ${what}, and its stream ends`, async () => {
      const stream = await BeatStream.open(controlPlane, node);
      const reply = await stream.exchange(make(stream));
      expect(reply.case).to.equal('refusal');
      if (reply.case === 'refusal') {
        expect(reply.value.reason).to.equal(reason);
        if (reason === RefusalReason.CLOCK_OUT_OF_WINDOW) {
          expect(Math.abs(Number(reply.value.clockOffsetMs))).to.be.within(60_000, 75_000);
        }
      }
      expect(await stream.end()).to.have.property('message', 'the stream has ended');
    });
  }

  it('is refused a second time on the same stream', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    const frame = stream.beat();
    expect((await stream.exchange(frame)).case).to.equal('answer');
    expect(await stream.exchange(frame)).to.have.nested.property(
      'value.reason',
      RefusalReason.WRONG_SEQUENCE,
    );
  });

  it('is refused when its nonce was used before, though all else is new', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    const nonce = Buffer.alloc(16, 7);
    expect((await stream.exchange(stream.beat({ nonce }))).case).to.equal('answer');
    expect(await stream.exchange(stream.beat({ nonce }))).to.have.nested.property(
      'value.reason',
      RefusalReason.REPLAYED,
    );
  });

  it('is refused on a new stream, where a listener on the wire would send it', async () => {
    const first = await BeatStream.open(controlPlane, node);
    const frame = first.beat();
    expect((await first.exchange(frame)).case).to.equal('answer');
    const second = await BeatStream.open(controlPlane, node);
    expect(await second.exchange(frame)).to.have.nested.property(
      'value.reason',
      RefusalReason.WRONG_STREAM,
    );
    first.close();
  });

  it("is refused when it is the control plane's own frame, sent back", async () => {
    const stream = await BeatStream.open(controlPlane, node);
    stream.push(stream.beat());
    const { timestampMs, nonce, payload, mac, keyId } = await stream.next();
    const reflected = { ...stream.beat(), timestampMs, nonce, metrics: payload, mac, keyId };
    expect(await stream.exchange(reflected)).to.have.nested.property(
      'value.reason',
      RefusalReason.BAD_MAC,
    );
  });

  it('ends the older stream when a newer one of its node has beaten', async () => {
    const older = await BeatStream.open(controlPlane, node);
    expect((await older.exchange(older.beat())).case).to.equal('answer');
    const newer = await BeatStream.open(controlPlane, node);
    expect((await newer.exchange(newer.beat())).case).to.equal('answer');
    expect(await older.exchange(older.beat())).to.have.nested.property(
      'value.reason',
      RefusalReason.SUPERSEDED,
    );
    expect((await newer.exchange(newer.beat())).case).to.equal('answer');
    newer.close();
  });

  it('of another node is refused under this one', async () => {
    const other = await enrolNode(controlPlane, `Another heart ${randomUUID()}`);
    const [mine, theirs] = [
      await BeatStream.open(controlPlane, node),
      await BeatStream.open(controlPlane, other),
    ];
    expect(await mine.exchange(theirs.beat())).to.have.nested.property(
      'value.reason',
      RefusalReason.BAD_MAC,
    );
    theirs.close();
  });

  it('leaves one audit entry a node and minute, however many are refused', async () => {
    const audit = controlPlane.clientFor(AuditService, controlPlane.operator);
    const { entries } = await audit.listEntries({ pageSize: 200 });
    const refusals = entries.filter(
      ({ action, subject }) => action === 'HEARTBEAT_REFUSED' && subject === node.id,
    );
    const minutes = new Set(refusals.map(({ at }) => (at?.seconds ?? 0n) / 60n));
    // The database's minute may begin a moment before or after the process's own.
    expect(refusals.length).to.be.within(1, minutes.size + 1);
  });

  it('ends at once when its node is revoked, and the node stays out', async () => {
    const victim = await enrolNode(controlPlane, `Revoked ${randomUUID()}`);
    const stream = await BeatStream.open(controlPlane, victim);
    expect((await stream.exchange(stream.beat())).case).to.equal('answer');
    const end = stream.end();
    const { node: shown } = await admin().revokeNode({ nodeId: victim.id, reason: 'test' });
    expect(shown?.standing).to.equal(Standing.REVOKED);
    expect(await end).to.be.instanceOf(ConnectError);
    const refused = await BeatStream.open(controlPlane, victim).catch((cause: unknown) => cause);
    expect(refused).to.be.instanceOf(ConnectError);
    expect((refused as ConnectError).code).to.equal(Code.Unauthenticated);
    expect(
      (await admin().revokeNode({ nodeId: victim.id, reason: 'again' })).node?.standing,
    ).to.equal(Standing.REVOKED);
  });

  it('beats again after its owner replaced the key, and only with the new one', async () => {
    const accountName = `Moved ${randomUUID()}`;
    const old = await enrolNode(controlPlane, accountName);
    const stream = await BeatStream.open(controlPlane, old);
    expect((await stream.exchange(stream.beat())).case).to.equal('answer');
    const end = stream.end();
    const fresh = await enrolNode(controlPlane, accountName, { replace: true });
    expect(fresh.id).to.equal(old.id);
    expect(await end).to.be.instanceOf(ConnectError);
    const again = await BeatStream.open(controlPlane, fresh);
    expect((await again.exchange(again.beat())).case).to.equal('answer');
    again.close();
  });
});
