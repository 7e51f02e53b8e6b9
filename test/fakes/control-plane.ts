// The real control plane in this process: TLS on a free port of 127.0.0.1, PGlite in memory, keys in a
// temporary folder, all gone after `stop`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { pino } from 'pino';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import {
  FIRST_OPERATOR_CERTIFICATE,
  FIRST_OPERATOR_FOLDER,
  FIRST_OPERATOR_KEY,
} from '../../server/clients/first-operator.ts';
import { type Clock, systemClock } from '../../server/clock.ts';
import { loadConfig, type ServerConfig } from '../../server/config.ts';
import { certificatePem } from '../../server/secrets/pem.ts';
import { type RunningServer, startServer } from '../../server/server.ts';
import { requestKey } from './certificate-request.ts';
import { storeTemplate } from './store-template.ts';

/** What a caller holds. */
export interface Identity {
  /** Empty where nobody asked. */
  readonly id: string;
  /** PEM, leaf first. */
  readonly certificatePem: string;
  /** PEM, PKCS #8. */
  readonly privateKeyPem: string;
}

export interface ControlPlaneOptions {
  readonly clock?: Clock;
  /** Settings as on the command line; a simulator's address is needed to enrol anybody. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Changes the configuration after it was checked, as a database by URL. */
  readonly configure?: (config: ServerConfig) => ServerConfig;
  readonly logLevel?: string;
}

export interface ControlPlane {
  readonly server: RunningServer;
  readonly config: ServerConfig;
  readonly dataDir: string;
  /** Root certificate, PEM. */
  readonly ca: string;
  readonly operator: Identity;
  /** A client of the service over its own connection as this identity; null for no certificate. */
  clientFor<S extends DescService>(service: S, identity: Identity | null): Client<S>;
  /** A new client with a certificate, by way of the operator. */
  newClient(name: string): Promise<Identity>;
  stop(): Promise<void>;
}

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-control-plane-'));
  const checked = loadConfig({
    flags: {
      dataDir,
      port: 0,
      stripe: 'simulator',
      stripeSimulatorUrl: 'http://127.0.0.1:1',
      ...options.settings,
    },
    environment: {},
  });
  const inMemory: ServerConfig = { ...checked, store: { kind: 'memory' } };
  const config = options.configure?.(inMemory) ?? inMemory;
  const server = await startServer(config, {
    clock: options.clock ?? systemClock,
    log: pino({ level: options.logLevel ?? 'silent' }, pino.destination(2)),
    storeTemplate: await storeTemplate(),
  });
  const ca = readFileSync(server.caPath, 'utf8');
  const sessions: Http2SessionManager[] = [];

  function clientFor<S extends DescService>(service: S, identity: Identity | null): Client<S> {
    const baseUrl = `https://${server.address}`;
    const sessionManager = new Http2SessionManager(
      baseUrl,
      {},
      { ca, ...(identity && { cert: identity.certificatePem, key: identity.privateKeyPem }) },
    );
    sessions.push(sessionManager);
    return createClient(
      service,
      createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] }),
    );
  }

  const operator = firstOperator(dataDir);
  return {
    server,
    config,
    dataDir,
    ca,
    operator,
    clientFor,
    async newClient(name) {
      const { csr, privateKeyPem } = await requestKey();
      const issued = await clientFor(ClientAdminService, operator).issueCertificate({
        csr,
        subject: { case: 'newClientName', value: name },
      });
      return {
        id: issued.id,
        certificatePem: issued.certificateChain.map(certificatePem).join(''),
        privateKeyPem,
      };
    },
    async stop() {
      for (const session of sessions) session.abort();
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** As the server left it in its data folder. */
export function firstOperator(dataDir: string): Identity {
  const read = (name: string) => readFileSync(join(dataDir, FIRST_OPERATOR_FOLDER, name), 'utf8');
  return {
    id: '',
    certificatePem: read(FIRST_OPERATOR_CERTIFICATE),
    privateKeyPem: read(FIRST_OPERATOR_KEY),
  };
}
