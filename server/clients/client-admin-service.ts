import { randomBytes } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  ClientAdminService,
  type ClientQuota,
  type IssueCertificateRequest,
} from '#gen/gapjunction/admin/v1/client_admin_pb';
import { makeId } from '../../protocol/identity/ids.ts';
import { recordAudit } from '../audit/audit-store.ts';
import { parseCertificateRequest } from '../certificates/certificate-request.ts';
import { type Holder, recordCertificate } from '../certificates/certificate-store.ts';
import { issueHolderCertificate } from '../certificates/issue.ts';
import type { Clock } from '../clock.ts';
import { creditClient } from '../ledger/ledger-store.ts';
import { pageLimit, pageOf, readPageToken } from '../rpc/page.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import type { Authority } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import type { CertificateSubject, ClientOverview } from './client.ts';
import { clientOverview, insertSubject, listClientOverviews } from './client-store.ts';
import { DEFAULT_QUOTA, quotaOf, type Quota, type SetQuota } from './quota.ts';
import { saveQuota } from './quota-store.ts';

export interface ClientAdminDeps {
  readonly store: Store;
  readonly authority: Authority;
  readonly clock: Clock;
  /** Of clients that have none of their own. */
  readonly quota?: Quota;
}

export function clientAdminService(deps: ClientAdminDeps): ServiceImplementation {
  const { store, authority, clock } = deps;
  const toProto = (client: ClientOverview) => clientMessage(client, deps.quota ?? DEFAULT_QUOTA);
  return implement(ClientAdminService, {
    async issueCertificate(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      const csr = await parseCertificateRequest(request.csr);
      const subject = subjectOf(request);
      const holder = holderOf(subject);
      if (subject.kind === 'client') {
        await store.read((em) => clientOverview(em, subject.clientId));
      }
      const issued = await issueHolderCertificate(authority, {
        holder,
        publicKeySpki: csr.publicKeySpki,
        nowMs: clock.now(),
      });
      await store.transaction(async (em) => {
        await insertSubject(em, subject, holder.id);
        await recordCertificate(em, { ...issued, holder });
        await recordAudit(em, {
          actor: `operator/${operatorId}`,
          action: 'CERTIFICATE_ISSUED',
          subject: holder.id,
          details: { serial: issued.serial, role: holder.role },
        });
      });
      return { id: holder.id, certificateChain: [...issued.chain] };
    },

    async listClients(request) {
      const limit = pageLimit(request.pageSize);
      const [createdMs, clientId] =
        readPageToken(request.pageToken, /^\d{1,15},c-[a-z2-7]{20}$/) ?? [];
      const behind =
        createdMs === undefined || clientId === undefined
          ? null
          : { createdMs: Number(createdMs), clientId };
      const found = await store.read((em) => listClientOverviews(em, { behind, limit: limit + 1 }));
      const { items, nextPageToken } = pageOf(found, limit, (last) => [
        last.createdMs,
        last.clientId,
      ]);
      return { clients: items.map((client) => toProto(client)), nextPageToken };
    },

    async setClientQuota({ clientId, quota }, context) {
      const { operatorId } = callerOf(context, 'operator');
      const set = setQuotaOf(quota);
      const client = await store.transaction(async (em) => {
        await clientOverview(em, clientId);
        await saveQuota(em, clientId, set);
        await recordAudit(em, {
          actor: `operator/${operatorId}`,
          action: 'CLIENT_QUOTA_SET',
          subject: clientId,
          details: {
            jobs_in_flight: String(set.jobsInFlight),
            jobs_queued: String(set.jobsQueued),
            fuel_per_hour: String(set.fuelPerHour),
            blob_bytes: String(set.blobBytes),
            weight: String(set.weight),
          },
        });
        return clientOverview(em, clientId);
      });
      return { client: toProto(client) };
    },

    async creditClient(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      const { clientId, requestId, amountMicrocents: microcents } = request;
      const client = await store.transaction(async (em) => {
        await clientOverview(em, clientId);
        const credited = await creditClient(em, { clientId, requestId, operatorId, microcents });
        // A repeated request moves nothing, and is no new act.
        if (credited) {
          await recordAudit(em, {
            actor: `operator/${operatorId}`,
            action: 'CLIENT_CREDITED',
            subject: clientId,
            details: { microcents: String(microcents), request_id: requestId },
          });
        }
        return clientOverview(em, clientId);
      });
      return { client: toProto(client) };
    },
  });
}

function subjectOf({ subject }: IssueCertificateRequest): CertificateSubject {
  switch (subject.case) {
    case 'newClientName':
      return { kind: 'new-client', name: subject.value };
    case 'clientId':
      return { kind: 'client', clientId: subject.value };
    case 'newOperatorName':
      return { kind: 'new-operator', name: subject.value };
    case undefined:
      throw new Error('issuing a certificate: the request names no subject, though it was checked');
    default:
      return subject satisfies never;
  }
}

function holderOf(subject: CertificateSubject): Holder {
  switch (subject.kind) {
    case 'new-client':
      return { role: 'client', id: makeId('c', randomBytes) };
    case 'client':
      return { role: 'client', id: subject.clientId };
    case 'new-operator':
      return { role: 'operator', id: makeId('o', randomBytes) };
    default:
      return subject satisfies never;
  }
}

function setQuotaOf(quota: ClientQuota | undefined): SetQuota {
  if (quota === undefined) {
    throw new Error('setting a quota: the request has none, though it was checked');
  }
  const { jobsInFlight, jobsQueued, fuelPerHour, blobBytes, weight } = quota;
  return { jobsInFlight, jobsQueued, fuelPerHour, blobBytes: Number(blobBytes), weight };
}

function clientMessage(client: ClientOverview, defaults: Quota) {
  const quota = quotaOf(client.quota, defaults);
  return {
    clientId: client.clientId,
    name: client.name,
    createdAt: timestampFromMs(client.createdMs),
    availableMicrocents: client.availableMicrocents,
    heldMicrocents: client.heldMicrocents,
    quota: { ...quota, blobBytes: BigInt(quota.blobBytes) },
  };
}
