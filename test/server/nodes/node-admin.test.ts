import { Code, type ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { NodeAdminService, Standing } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { pageToken as tokenOf } from '../../../server/rpc/page.ts';
import { startStripeSimulator, type StripeSimulator } from '../../../stripe-simulator/simulator.ts';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { enrolNode } from '../../fakes/node.ts';

describe('nodes, to an operator', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  const names = ['One', 'Two', 'Three'];
  let ids: string[];
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
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
});
