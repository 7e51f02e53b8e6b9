import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { failureOf } from '../../fakes/failure.ts';
import { requestKey } from '../../fakes/certificate-request.ts';

describe('ClientAdminService', () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane();
  });
  after(() => plane.stop());

  it('gives a new client a certificate that opens the door, and nothing to a CSR that asks for more', async () => {
    const client = await plane.newClient('Ada');
    expect(client.id).to.match(/^c-[a-z2-7]{20}$/);
    const refused = await failureOf(plane.clientFor(ClientAdminService, client).listClients({}));
    expect(refused).to.include({ code: 'PermissionDenied', reason: 'WRONG_ROLE' });
  });

  it('lists clients newest first, page by page, without losing one', async () => {
    const admin = plane.clientFor(ClientAdminService, plane.operator);
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three']) ids.push((await plane.newClient(name)).id);
    const first = await admin.listClients({ pageSize: 2 });
    expect(first.clients.map(({ name }) => name)).to.have.members(['three', 'two']);
    const second = await admin.listClients({ pageSize: 2, pageToken: first.nextPageToken });
    expect(
      [...first.clients, ...second.clients].map(({ clientId }) => clientId),
    ).to.include.members(ids);
  });

  it('credits a client once, however often the request is repeated, and audits it once', async () => {
    const admin = plane.clientFor(ClientAdminService, plane.operator);
    const { id: clientId } = await plane.newClient('Grace');
    const request = { requestId: 'r-1', clientId, amountMicrocents: 5_000_000n };
    await admin.creditClient(request);
    const again = await admin.creditClient(request);
    expect(again.client?.availableMicrocents).to.equal(5_000_000n);
    const other = await failureOf(admin.creditClient({ ...request, amountMicrocents: 6n }));
    expect(other).to.include({ code: 'AlreadyExists', reason: 'REQUEST_ID_REUSED' });
    const { entries } = await plane.clientFor(AuditService, plane.operator).listEntries({});
    const credits = entries.filter(
      ({ action, subject }) => action === 'CLIENT_CREDITED' && subject === clientId,
    );
    expect(credits).to.have.length(1);
    expect(credits[0]?.actor).to.match(/^operator\/o-/);
  });

  it('sets a quota whole, shows it with the defaults filled in, and audits who set what', async () => {
    const admin = plane.clientFor(ClientAdminService, plane.operator);
    const { id: clientId } = await plane.newClient('Edsger');
    const listed = async () =>
      (await admin.listClients({})).clients.find((one) => one.clientId === clientId)?.quota;
    const defaults = await listed();
    expect(defaults).to.include({ jobsQueued: 100_000, weight: 1 });
    await admin.setClientQuota({ clientId, quota: { jobsQueued: 5, weight: 3 } });
    const { client } = await admin.setClientQuota({ clientId, quota: { jobsQueued: 7 } });
    expect(client?.quota).to.include({ jobsQueued: 7, weight: 1 });
    expect(await listed()).to.deep.equal({ ...defaults, jobsQueued: 7 });
    const { entries } = await plane.clientFor(AuditService, plane.operator).listEntries({});
    const sets = entries.filter(({ action }) => action === 'CLIENT_QUOTA_SET');
    expect(sets.map(({ subject }) => subject)).to.deep.equal([clientId, clientId]);
    expect(sets[1]?.details).to.include({ jobs_queued: '5', weight: '3' });
  });

  it('sets no quota of a client that does not exist', async () => {
    const admin = plane.clientFor(ClientAdminService, plane.operator);
    const refused = await failureOf(admin.setClientQuota({ clientId: 'c-nobody', quota: {} }));
    expect(refused).to.include({ code: 'NotFound', reason: 'CLIENT_UNKNOWN' });
  });

  it('does not issue for a client that does not exist', async () => {
    const { csr } = await requestKey();
    const admin = plane.clientFor(ClientAdminService, plane.operator);
    const refused = await failureOf(
      admin.issueCertificate({ csr, subject: { case: 'clientId', value: 'c-nobody' } }),
    );
    expect(refused).to.include({ code: 'NotFound', reason: 'CLIENT_UNKNOWN' });
  });
});
