import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { failureOf } from '../../fakes/failure.ts';

describe('AuditService', () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane();
    for (const name of ['one', 'two', 'three']) await plane.newClient(name);
  });
  after(() => plane.stop());

  it('lists every entry once, newest first, numbered from 1 without a gap', async () => {
    const audit = plane.clientFor(AuditService, plane.operator);
    const numbers: bigint[] = [];
    let pageToken = '';
    do {
      const page = await audit.listEntries({ pageSize: 3, pageToken });
      numbers.push(...page.entries.map(({ entryNumber }) => entryNumber));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(numbers).to.deep.equal([4n, 3n, 2n, 1n]);
  });

  it('refuses a page token that is not its own', async () => {
    const audit = plane.clientFor(AuditService, plane.operator);
    const failure = await failureOf(audit.listEntries({ pageToken: 'bm9uZQ' }));
    expect(failure).to.include({ code: 'InvalidArgument', reason: 'PAGE_TOKEN_UNKNOWN' });
  });
});
