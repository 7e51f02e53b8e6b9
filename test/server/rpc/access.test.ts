import { createFileRegistry, create, type DescService } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { BillingService, EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';
import { DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { HeartbeatService } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { ServerReflection } from '#gen/grpc/reflection/v1/reflection_pb';
import { ServerReflection as ServerReflectionV1alpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import { type CallerKind, callersOf } from '../../../server/rpc/access.ts';
import { servedMethods } from '../../../server/rpc/method.ts';
import type { ServiceImplementation } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';

const SERVICES: readonly DescService[] = [
  AuditService,
  ClientAdminService,
  NodeAdminService,
  BillingService,
  EarningsService,
  BlobService,
  JobService,
  DispatchService,
  EnrolmentService,
  HeartbeatService,
  Health,
  ServerReflection,
  ServerReflectionV1alpha,
];

/** What the contract says, written out once more by hand: a change of either is seen here. */
const CALLERS: Readonly<Record<string, readonly CallerKind[]>> = {
  'gapjunction.admin.v1.AuditService': ['operator'],
  'gapjunction.admin.v1.ClientAdminService': ['operator'],
  'gapjunction.admin.v1.NodeAdminService': ['operator'],
  'gapjunction.billing.v1.BillingService': ['client'],
  'gapjunction.billing.v1.EarningsService': ['node'],
  'gapjunction.blob.v1.BlobService': ['client', 'node'],
  'gapjunction.blob.v1.BlobService/DeleteBlob': ['client'],
  'gapjunction.job.v1.JobService': ['client'],
  'gapjunction.node.v1.DispatchService': ['node'],
  'gapjunction.node.v1.EnrolmentService': ['anyone'],
  'gapjunction.node.v1.EnrolmentService/Renew': ['node'],
  'gapjunction.node.v1.HeartbeatService': ['node'],
  'grpc.health.v1.Health': ['anyone'],
  'grpc.reflection.v1.ServerReflection': ['client', 'node', 'operator'],
  'grpc.reflection.v1alpha.ServerReflection': ['client', 'node', 'operator'],
};

/** Answers every method alike, so that only who may call is judged. */
function openHouse(service: DescService): ServiceImplementation {
  const answer = async () => ({});
  const stream = async function* () {};
  return {
    service,
    handlers: Object.fromEntries(
      service.methods.map(({ localName, methodKind }) => [
        localName,
        methodKind === 'unary' || methodKind === 'client_streaming' ? answer : stream,
      ]),
    ),
  };
}

describe('who may call what', () => {
  let rpc: TestListener;
  const identities = new Map<CallerKind, IssuedCertificate | null>([['anyone', null]]);

  before(async () => {
    rpc = await startListener({ services: SERVICES.map(openHouse) });
    identities.set('node', await rpc.authority.node(`n-${ID}`));
    identities.set('client', await rpc.authority.client(`c-${ID}`));
    identities.set('operator', await rpc.authority.operator(`o-${ID}`));
  });
  after(() => rpc.stop());

  for (const service of SERVICES) {
    for (const method of service.methods) {
      const path = `${service.typeName}/${method.name}`;
      const allowed = CALLERS[path] ?? CALLERS[service.typeName] ?? [];
      it(`${path}: ${allowed.join(', ')} and nobody else`, async () => {
        expect([...callersOf(method)].toSorted()).to.deep.equal(allowed.toSorted());
        for (const [kind, identity] of identities) {
          const code = await codeOf(identity, service, method.localName);
          if (allowed.includes('anyone') || allowed.includes(kind)) {
            expect(code, kind).not.to.be.oneOf(['Unauthenticated', 'PermissionDenied']);
          } else if (kind === 'anyone') expect(code).to.equal('Unauthenticated');
          else expect(code, kind).to.equal('PermissionDenied');
        }
      });
    }
  }

  /** The code that an empty call ends with; an invalid request counts as let in. */
  async function codeOf(identity: IssuedCertificate | null, service: DescService, name: string) {
    const url = `https://localhost:${rpc.listener.port}`;
    const sessionManager = new Http2SessionManager(
      url,
      {},
      {
        ca: rpc.authority.rootPem,
        ...(identity && { cert: identity.chainPem, key: identity.keys.privateKeyPem }),
      },
    );
    const client = createClient(service, createGrpcTransport({ baseUrl: url, sessionManager }));
    const call = (client as unknown as Record<string, (request: unknown) => unknown>)[name];
    const { methodKind } = service.method[name] ?? {};
    const requests = (async function* () {})();
    const manyRequests = methodKind === 'client_streaming' || methodKind === 'bidi_streaming';
    const answer = call?.call(client, manyRequests ? requests : {});
    const outcome = await failureOf(
      answer instanceof Promise ? answer : Array.fromAsync(answer as AsyncIterable<unknown>),
    ).catch(() => ({ code: 'Ok' }));
    sessionManager.abort();
    return outcome.code;
  }

  it('a service without an access option is not served', () => {
    const registry = createFileRegistry(
      create(FileDescriptorSetSchema, {
        file: [
          {
            name: 'open.proto',
            package: 'open',
            syntax: 'proto3',
            messageType: [{ name: 'Empty' }],
            service: [
              {
                name: 'Door',
                method: [{ name: 'Open', inputType: '.open.Empty', outputType: '.open.Empty' }],
              },
            ],
          },
        ],
      }),
    );
    const service = registry.getService('open.Door');
    if (service === undefined) throw new Error('the service of the test is missing');
    expect(() => servedMethods(openHouse(service))).to.throw('serving open.Door/Open');
  });

  it('a method without a handler is not served', () => {
    expect(() => servedMethods({ service: AuditService, handlers: {} })).to.throw('no handler');
  });
});
