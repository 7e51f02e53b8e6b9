import { Code, type ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { NodeAdminService, Standing } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { Directive } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';
import { pageToken as tokenOf } from '../../../server/rpc/page.ts';
import { startStripeSimulator, type StripeSimulator } from '../../../stripe-simulator/simulator.ts';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { BeatStream, enrolNode } from '../../fakes/node.ts';

describe('nodes, to an operator', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  const names = ['One', 'Two', 'Three'];
  let ids: string[];
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({
      settings: { stripeSimulatorUrl: simulator.url, enrolmentBurstPerAddress: 100 },
    });
    ids = [];
    for (const name of names) ids.push((await enrolNode(controlPlane, name)).id);
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  const admin = () => controlPlane.clientFor(NodeAdminService, controlPlane.operator);
  const codeOf = async (call: Promise<unknown>) =>
    call.then(
      () => null,
      (cause: unknown) => (cause as ConnectError).code,
    );

  it('are listed newest first, page by page, none twice and none left out', async () => {
    const seen: string[] = [];
    let pageToken = '';
    do {
      const { nodes, nextPageToken } = await admin().listNodes({ pageSize: 2, pageToken });
      expect(nodes.length).to.be.at.most(2);
      seen.push(...nodes.map(({ nodeId }) => nodeId));
      pageToken = nextPageToken;
    } while (pageToken !== '');
    expect(seen).to.deep.equal(ids.toReversed());
  });

  it('that do not exist are not found, and a page token of no page is refused', async () => {
    expect(await codeOf(admin().getNode({ nodeId: 'n-nobody' }))).to.equal(Code.NotFound);
    const revoke = admin().revokeNode({ nodeId: 'n-nobody', reason: 'x' });
    expect(await codeOf(revoke)).to.equal(Code.NotFound);
    for (const pageToken of [
      'x',
      tokenOf([1, "n-'; drop table node"]),
      tokenOf(['9'.repeat(16), ids[0] ?? '']),
    ]) {
      expect(await codeOf(admin().listNodes({ pageToken }))).to.equal(Code.InvalidArgument);
    }
  });

  it('are revoked once in the audit log, by whom and why', async () => {
    const [nodeId = ''] = ids;
    await admin().revokeNode({ nodeId, reason: 'melted' });
    const { node } = await admin().revokeNode({ nodeId, reason: 'again' });
    expect(node?.standing).to.equal(Standing.REVOKED);
    const audit = controlPlane.clientFor(AuditService, controlPlane.operator);
    const { entries } = await audit.listEntries({});
    const revocations = entries.filter(({ action }) => action === 'NODE_REVOKED');
    expect(revocations).to.have.length(1);
    expect(revocations[0]).to.deep.include({ subject: nodeId });
    expect(revocations[0]?.actor).to.match(/^operator\/o-/);
    expect(revocations[0]?.details).to.include({ reason: 'melted', standing_before: 'enrolled' });
  });

  it('are cordoned, drained and given work again, each once in the audit log', async () => {
    const [, nodeId = ''] = ids;
    const standings = [
      await admin().cordonNode({ nodeId, reason: 'noisy' }),
      await admin().cordonNode({ nodeId, reason: 'again' }),
      await admin().drainNode({ nodeId, reason: 'leaving' }),
      await admin().drainNode({ nodeId, reason: 'again' }),
      await admin().uncordonNode({ nodeId, reason: 'stays' }),
      await admin().uncordonNode({ nodeId, reason: 'again' }),
    ].map(({ node }) => node?.standing);
    expect(standings).to.deep.equal([
      Standing.CORDONED,
      Standing.CORDONED,
      Standing.DRAINING,
      Standing.DRAINING,
      Standing.ENROLLED,
      Standing.ENROLLED,
    ]);
    const audit = controlPlane.clientFor(AuditService, controlPlane.operator);
    const { entries } = await audit.listEntries({});
    const told = entries
      .filter(({ subject, actor }) => subject === nodeId && actor.startsWith('operator/'))
      .map(({ action, details }) => [action, details['reason'], details['standing_before']]);
    expect(told).to.deep.equal([
      ['NODE_UNCORDONED', 'stays', 'draining'],
      ['NODE_DRAINED', 'leaving', 'cordoned'],
      ['NODE_CORDONED', 'noisy', 'enrolled'],
    ]);
  });

  it('are told to drain in the answer to their next beat, and no more when that is taken back', async () => {
    const node = await enrolNode(controlPlane, 'Told');
    const stream = await BeatStream.open(controlPlane, node);
    const directives = async () => {
      const answer = await stream.exchange(stream.beat());
      return answer.case === 'answer' ? answer.value.directives : answer.case;
    };
    expect(await directives()).to.deep.equal([]);
    await admin().cordonNode({ nodeId: node.id, reason: 'test' });
    expect(await directives()).to.deep.equal([]);
    await admin().drainNode({ nodeId: node.id, reason: 'test' });
    expect(await directives()).to.deep.equal([Directive.DRAIN]);
    await admin().uncordonNode({ nodeId: node.id, reason: 'test' });
    expect(await directives()).to.deep.equal([]);
    stream.close();
  });

  it('that are revoked can be neither cordoned, drained nor given work', async () => {
    const { id: nodeId } = await enrolNode(controlPlane, 'Out');
    await admin().revokeNode({ nodeId, reason: 'test' });
    for (const call of ['cordonNode', 'drainNode', 'uncordonNode'] as const) {
      const operator = admin();
      const refused = await operator[call]({ nodeId, reason: 'test' }).catch(
        (cause: unknown) => cause as ConnectError,
      );
      expect(refused).to.have.property('code', Code.FailedPrecondition);
      const [info] = (refused as ConnectError).findDetails(ErrorInfoSchema);
      expect(info?.reason, call).to.equal('NODE_REVOKED');
      expect(await codeOf(operator[call]({ nodeId: 'n-nobody', reason: 'x' }))).to.equal(
        Code.NotFound,
      );
    }
  });
});
