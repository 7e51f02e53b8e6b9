import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { pino } from 'pino';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { systemClock } from '../../server/clock.ts';
import { loadConfig, type ServerConfig } from '../../server/config.ts';
import { type RunningServer, startServer } from '../../server/server.ts';
import { whenAll } from '../all.ts';
import { startControlPlane } from '../fakes/control-plane.ts';
import { startListener } from '../fakes/listener.ts';
import { type Postgresql, startPostgresql } from '../fakes/postgresql.ts';
import { storeTemplate } from '../fakes/store-template.ts';

describe('a control plane that cannot start', () => {
  let dataDir: string;
  const logged: string[] = [];
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-start-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  const config = (flags = {}): ServerConfig =>
    loadConfig({
      flags: {
        dataDir,
        port: 0,
        stripe: 'simulator',
        stripeSimulatorUrl: 'http://127.0.0.1:1',
        ...flags,
      },
      environment: {},
    });
  const start = async (settings: ServerConfig): Promise<RunningServer> =>
    startServer(settings, {
      clock: systemClock,
      log: pino({ level: 'debug' }, { write: (line) => void logged.push(line) }),
      storeTemplate: await storeTemplate(),
    });

  it('lets go of all that it had: the next start works', async () => {
    const other = await startListener({ services: [] });
    const refused = await start(config({ port: other.listener.port })).catch(
      (error: Error) => error.message,
    );
    expect(refused).to.contain(`listening on 127.0.0.1 port ${other.listener.port}`);
    await other.stop();
    const server = await start(config());
    await server.stop();
  });

  it('tells nobody the password of its database', async () => {
    const databaseUrl = 'postgresql://gap:hunter2@127.0.0.1:1/gap';
    const refused = await start(config({ databaseUrl })).catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(Error);
    expect((refused as Error).message).to.contain('opening the database of GJ_DATABASE_URL');
    expect(inspect(refused, { depth: 10 }) + logged.join('')).not.to.contain('hunter2');
  });
});

whenAll('a control plane on PostgreSQL', () => {
  let postgresql: Postgresql;
  before(async () => {
    postgresql = await startPostgresql();
  });
  after(() => postgresql.stop());

  it('serves as on PGlite, keeps what it said, and shares its database with no second one', async () => {
    const url = postgresql.newDatabase();
    const configure = (config: ServerConfig): ServerConfig => ({
      ...config,
      store: { kind: 'postgresql', url },
    });
    const plane = await startControlPlane({ configure });
    const client = await plane.newClient('Ada');
    const balance = await plane.clientFor(BillingService, client).getBalance({});
    expect(balance.availableMicrocents).to.equal(0n);
    const second = await startControlPlane({ configure }).catch((error: Error) => error.message);
    expect(second).to.contain('another server is using it');
    const { entries } = await plane.clientFor(AuditService, plane.operator).listEntries({});
    expect(entries).to.have.length(2);
    await plane.stop();
    // Another folder has other keys, and what the database knows was issued under the lost ones.
    const stranger = await startControlPlane({ configure }).catch((error: Error) => error.message);
    expect(stranger).to.contain("put the folder 'secrets' back");
  });
});
