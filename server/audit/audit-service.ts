import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { pageLimit, pageOf, readPageToken } from '../rpc/page.ts';
import { implement, type ServiceImplementation } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';
import { listAuditEntries } from './audit-store.ts';

export function auditService({ store }: { readonly store: Store }): ServiceImplementation {
  return implement(AuditService, {
    async listEntries(request) {
      const limit = pageLimit(request.pageSize);
      const [before] = readPageToken(request.pageToken, /^\d{1,18}$/) ?? [];
      const found = await store.read((em) =>
        listAuditEntries(em, {
          beforeEntryNumber: before === undefined ? null : BigInt(before),
          limit: limit + 1,
        }),
      );
      const { items, nextPageToken } = pageOf(found, limit, (last) => [last.entryNumber]);
      const entries = items.map(({ entryNumber, atMs, actor, action, subject, details }) => ({
        entryNumber,
        at: timestampFromMs(atMs),
        actor,
        action,
        subject,
        details,
      }));
      return { entries, nextPageToken };
    },
  });
}
