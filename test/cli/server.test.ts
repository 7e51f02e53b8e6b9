import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { systemClock } from '../../server/clock.ts';
import { openStore } from '../../server/store/open.ts';
import { requestKey } from '../fakes/certificate-request.ts';
import { firstOperator } from '../fakes/control-plane.ts';
import { storeTemplate } from '../fakes/store-template.ts';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');

interface Ready {
  readonly event: string;
  readonly address: string;
  readonly ca: string;
  readonly caFingerprint: string;
  readonly dataDir: string;
  readonly stripe: string;
}

describe('gap-junction server', () => {
  let dataDir: string;
  const children: ChildProcess[] = [];
  before(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-server-'));
    // The first start of PGlite takes seconds and is not what is tried here.
    const store = await openStore(
      { kind: 'folder', path: dataDir },
      { clock: systemClock, exclusive: true, template: await storeTemplate() },
    );
    await store.close();
  });
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });

  function start(...args: readonly string[]) {
    const child = spawn(process.execPath, [COMMAND, 'server', ...args], {
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    const exit = once(child, 'close').then(([code]) => ({ code: code as number, errors }));
    return {
      child,
      exit,
      ready: async () => JSON.parse(String((await lines.next()).value)) as Ready,
    };
  }
  const startSimulated = () =>
    start(
      `--data-dir=${dataDir}`,
      '--port=0',
      '--json',
      '--stripe=simulator',
      '--stripe-simulator-url=http://127.0.0.1:1',
    );

  function admin(ready: Ready) {
    const { certificatePem: cert, privateKeyPem: key } = firstOperator(dataDir);
    const baseUrl = `https://${ready.address}`;
    const ca = readFileSync(ready.ca, 'utf8');
    const sessionManager = new Http2SessionManager(baseUrl, {}, { ca, cert, key });
    const transport = createGrpcTransport({ baseUrl, sessionManager });
    return {
      clients: createClient(ClientAdminService, transport),
      audit: createClient(AuditService, transport),
      close: () => sessionManager.abort(),
    };
  }

  it('killed at any time starts again with all that it acknowledged, and shares its folder with nobody', async () => {
    const first = startSimulated();
    const ready = await first.ready();
    expect(ready).to.include({ event: 'ready', dataDir, stripe: 'simulator' });
    const operator = admin(ready);
    const { csr } = await requestKey();
    const client = await operator.clients.issueCertificate({
      csr,
      subject: { case: 'newClientName', value: 'kept' },
    });

    const second = startSimulated();
    const refused = await second.exit;
    expect(refused.code).not.to.equal(0);
    expect(refused.errors).to.contain('another server is using it');

    operator.close();
    first.child.kill('SIGKILL');
    await first.exit;
    const again = startSimulated();
    const readyAgain = await again.ready();
    expect(readyAgain.caFingerprint).to.equal(ready.caFingerprint);
    const sameOperator = admin(readyAgain);
    const { clients } = await sameOperator.clients.listClients({});
    expect(clients.map(({ clientId }) => clientId)).to.deep.equal([client.id]);
    const { entries } = await sameOperator.audit.listEntries({});
    expect(entries.map(({ actor }) => actor.replace(/\/o-.*/, ''))).to.deep.equal([
      'operator',
      'control-plane',
    ]);
    sameOperator.close();

    again.child.kill('SIGTERM');
    expect((await again.exit).code).to.equal(0);
  });

  it('says all that is missing before it starts anything, and exits with a failure', async () => {
    const { code, errors } = await start('--port', '70000').exit;
    expect(code).to.equal(2);
    expect(errors).to.contain('GJ_DATA_DIR').and.to.contain('GJ_PORT');
  });

  it('takes no secret from the command line, where every user of the machine could read it', async () => {
    const { code } = await start('--stripe-secret-key', 'sk_live_0123456789').exit;
    expect(code).not.to.equal(0);
  });
});
