import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { whenAll } from '../all.ts';
import { TestAuthority } from '../fakes/authority.ts';
import { startControlPlane, type ControlPlane, type Identity } from '../fakes/control-plane.ts';
import { openGrpcurl, type Answer, type Grpcurl } from './grpcurl.ts';

const PROTO = join(import.meta.dirname, '../../proto');
const THIRD_PARTY = join(PROTO, '../third_party');
const LIST_NODES = 'gapjunction.admin.v1.NodeAdminService/ListNodes';

/** For whoever may not ask by reflection: the contract from its file. */
const protoFile = (path: string) => [
  `-import-path=${PROTO}`,
  `-import-path=${THIRD_PARTY}`,
  `-proto=${path}`,
];

/** Every service that the contract declares. */
function contract(): string[] {
  return readdirSync(PROTO, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.proto'))
    .flatMap((path) => {
      const text = readFileSync(join(PROTO, path), 'utf8');
      const [, packageName] = /^package ([\w.]+);/m.exec(text) ?? [];
      return [...text.matchAll(/^service (\w+) /gm)].map(([, name]) => `${packageName}.${name}`);
    });
}

whenAll('the control plane, to grpcurl', () => {
  let controlPlane: ControlPlane;
  let grpcurl: Grpcurl;
  let folder: string;
  before(async function () {
    // Go builds it the first time.
    this.timeout(300_000);
    grpcurl = await openGrpcurl();
    controlPlane = await startControlPlane();
    folder = mkdtempSync(join(tmpdir(), 'gap-junction-grpcurl-'));
    writeFileSync(join(folder, 'ca.crt'), controlPlane.ca);
  });
  after(async () => {
    await controlPlane.stop();
    rmSync(folder, { recursive: true });
  });

  const address = () => `localhost:${new URL(`https://${controlPlane.server.address}`).port}`;
  const ca = () => ['-cacert', join(folder, 'ca.crt')];

  /** Arguments under which it calls as this identity. */
  function as(name: string, identity: Pick<Identity, 'certificatePem' | 'privateKeyPem'>) {
    const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    writeFileSync(cert, identity.certificatePem);
    writeFileSync(key, identity.privateKeyPem, { mode: 0o600 });
    return [...ca(), '-cert', cert, '-key', key];
  }

  function expectCode({ exitCode, stderr }: Answer, code: string): void {
    expect(exitCode, stderr).not.to.equal(0);
    expect(stderr).to.match(new RegExp(`Code: ${code}\\b`));
  }

  it('shows an operator every service of the contract, method by method, and the nodes', async () => {
    const operator = as('operator', controlPlane.operator);
    const listed = await grpcurl(...operator, address(), 'list');
    expect(listed.exitCode, listed.stderr).to.equal(0);
    const services = listed.stdout.trim().split('\n');
    expect(services).to.include.members(contract());
    expect(services).to.include('grpc.health.v1.Health');
    for (const service of services) {
      const described = await grpcurl(...operator, address(), 'describe', service);
      expect(described.exitCode, described.stderr).to.equal(0);
      expect(described.stdout).to.contain(`${service} is a service`).and.to.contain('rpc ');
    }
    const nodes = await grpcurl(...operator, address(), LIST_NODES);
    expect(nodes.exitCode, nodes.stderr).to.equal(0);
    expect(JSON.parse(nodes.stdout)).to.deep.equal({});
  });

  it('refuses a client at the door of the operators, and serves it at its own', async () => {
    const client = as('client', await controlPlane.newClient('grpcurl'));
    const refused = await grpcurl(...client, address(), LIST_NODES);
    expectCode(refused, 'PermissionDenied');
    expect(refused.stderr).to.contain('WRONG_ROLE');
    const balance = await grpcurl(
      ...client,
      address(),
      'gapjunction.billing.v1.BillingService/GetBalance',
    );
    expect(balance.exitCode, balance.stderr).to.equal(0);
  });

  it('knows nobody without a certificate, nor with one that he signed himself', async () => {
    const { subjectAltName = '' } = new X509Certificate(controlPlane.operator.certificatePem);
    const authority = await TestAuthority.create();
    const stolen = await authority.issue({
      uris: [subjectAltName.replace('URI:', '')],
      selfSigned: true,
    });
    const selfSigned = as('self-signed', {
      certificatePem: stolen.chainPem,
      privateKeyPem: stolen.keys.privateKeyPem,
    });
    const contractFile = protoFile('gapjunction/admin/v1/node_admin.proto');
    for (const credentials of [ca(), selfSigned]) {
      const refused = await grpcurl(...credentials, ...contractFile, address(), LIST_NODES);
      expectCode(refused, 'Unauthenticated');
      const listed = await grpcurl(...credentials, address(), 'list');
      expect(listed.exitCode, listed.stdout).not.to.equal(0);
    }
  });

  it('tells anybody whether it is up', async () => {
    const health = protoFile('grpc/health/v1/health.proto');
    const answer = await grpcurl(...ca(), ...health, address(), 'grpc.health.v1.Health/Check');
    expect(answer.exitCode, answer.stderr).to.equal(0);
    expect(JSON.parse(answer.stdout)).to.deep.equal({ status: 'SERVING' });
  });
});
