// The control plane as one process: what it is made of, in the order in which it starts and, backwards,
// stops.
import { randomBytes, X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { digest, digestText } from '../protocol/bill/digest.ts';
import { auditService } from './audit/audit-service.ts';
import { hasCertificates } from './certificates/certificate-store.ts';
import { Revocations } from './certificates/revocations.ts';
import { clientAdminService } from './clients/client-admin-service.ts';
import { ensureFirstOperator } from './clients/first-operator.ts';
import type { Clock } from './clock.ts';
import type { ServerConfig } from './config.ts';
import { failureLog } from './failure-log.ts';
import { jobLog } from './jobs/job-log.ts';
import { startIdentity } from './identity.ts';
import { healthService } from './rpc/health.ts';
import { enrolmentLimit } from './rpc/limits.ts';
import { measure } from './metrics/measure.ts';
import type { Metrics } from './metrics/metrics.ts';
import { startMetrics } from './metrics/start.ts';
import type { Fleet } from './nodes/fleet.ts';
import { listen } from './rpc/listener.ts';
import { reflectionServices } from './rpc/reflection.ts';
import { openFileSecrets } from './secrets/file-secrets.ts';
import { writeFileWhole } from './secrets/files.ts';
import { requireSameKeys } from './secrets/key-digest-store.ts';
import { keyDigestsOf } from './secrets/key-digests.ts';
import { certificatePem } from './secrets/pem.ts';
import {
  issueServerCertificate,
  keepServerCertificateFresh,
} from './secrets/server-certificate.ts';
import { openShared } from './shared.ts';
import { openStore } from './store/open.ts';
import { Stops } from './stops.ts';
import { startWork } from './work.ts';

export interface RunningServer {
  /** `host:port`, or `[IPv6]:port`. */
  readonly address: string;
  readonly port: number;
  /** Where browsers reach the return page. */
  readonly publicUrl: string;
  /** Of /metrics and /health, or null. */
  readonly metricsUrl: string | null;
  /** The root certificate in PEM, to give to callers. */
  readonly caPath: string;
  /** `sha256:<hex>` of the root certificate's DER: what agents pin. */
  readonly caFingerprint: string;
  /** Resolves when the server cannot go on, as when its lock was lost, with the reason. */
  readonly failed: Promise<unknown>;
  stop(): Promise<void>;
}

export interface ServerEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  /** The dump of a PGlite with our tables, for a new store: skips its slow first start. */
  readonly storeTemplate?: Blob;
}

/** The longest call with an end of its own, a Complete with its settlement, takes well under a second. */
const STOP_GRACE_MS = 5000;

/** Bytes of one message; blobs travel in chunks of a quarter of it. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Replicas never meet under one id: 64 random bits. */
const REPLICA_ID_BYTES = 8;

/** Root and data, readable by all: it is what callers have to be given. */
const CA_FILE = 'ca.crt';
const PUBLIC_FILE_MODE = 0o644;

/** Starts everything, or throws after stopping what had started. */
export async function startServer(
  config: ServerConfig,
  environment: ServerEnvironment,
): Promise<RunningServer> {
  const { clock, log } = environment;
  const replicaId = randomBytes(REPLICA_ID_BYTES).toString('hex');
  const stops = new Stops();
  const failure = Promise.withResolvers<unknown>();
  try {
    const store = await openStore(config.store, {
      clock,
      // Without Redis, nonces, limits and wake-ups live in this process: a second one would miss them.
      exclusive: config.redisUrls.length === 0,
      onLockLost: failure.resolve,
      ...(environment.storeTemplate === undefined ? {} : { template: environment.storeTemplate }),
    });
    stops.add(() => store.close());

    const { dataDir, trustDomain, redisUrls } = config;
    const caPath = join(dataDir, CA_FILE);
    // Replicas that start together on an empty database and folder must agree on what the first one makes.
    const secrets = await store.alone(async () => {
      const inUse = await store.read(hasCertificates);
      const opened = await openFileSecrets({ dataDir, trustDomain, nowMs: clock.now(), inUse });
      const { authority } = opened;
      await requireSameKeys(store, await keyDigestsOf(opened), dataDir);
      writeFileWhole(caPath, certificatePem(authority.rootCertificate), PUBLIC_FILE_MODE);
      await ensureFirstOperator({ store, authority, dataDir, nowMs: clock.now() });
      return opened;
    });
    const { authority } = secrets;

    // Both are asked for before they are there.
    let metrics: Metrics | null = null;
    let fleet: Fleet | null = null;
    const onError = failureLog(
      log,
      () => metrics?.backgroundFailed(),
      () => clock.now(),
    );
    const shared = await openShared({
      redisUrls,
      replicaId,
      clock,
      onError,
      stops,
    });
    const revocations = await Revocations.open({
      store,
      clock,
      announcements: shared.announcements,
      onError: (cause) => onError('reading revocations', cause),
    });
    stops.add(() => revocations.close());

    const limit = enrolmentLimit({
      newLimiter: shared.newLimiter,
      perAddressPerSecond: config.limits.enrolmentsPerAddressPerSecond,
      burstPerAddress: config.limits.enrolmentBurstPerAddress,
      perKeyPerMinute: config.limits.enrolmentsPerKeyPerMinute,
    });
    const observed = await startMetrics({
      store,
      clock,
      log,
      stops,
      replicaId,
      nodes: () => fleet?.counts() ?? [],
      checks: shared.checks,
      listen: config.metrics,
    });
    ({ metrics } = observed);
    const parts = {
      config,
      clock,
      onError,
      store,
      shared,
      secrets,
      revocations,
      limit,
      metrics,
      stops,
    };
    const identity = await startIdentity(parts);
    ({ fleet } = identity);
    const work = await startWork({ ...parts, fleet, observer: { ...metrics, step: jobLog(log) } });

    const services = [
      ...identity.services,
      ...work,
      clientAdminService({ store, authority, clock, quota: config.quota }),
      auditService({ store }),
    ];
    const health = healthService(
      new Set(services.map(({ service }) => service.typeName)),
      observed.parts,
    );
    const issueTls = (nowMs: number) => issueServerCertificate(authority, config.names, nowMs);
    const listener = await listen({
      host: config.host,
      port: config.port,
      tls: await issueTls(clock.now()),
      anchors: {
        trustDomain,
        intermediates: [new X509Certificate(authority.intermediateCertificate)],
      },
      services: [
        ...services,
        health.implementation,
        ...reflectionServices([...services, health.implementation]),
      ],
      measure: measure({ metrics, now: () => clock.now() }),
      revocations,
      enrolmentLimit: limit,
      limits: { ...config.limits, maxMessageBytes: MAX_MESSAGE_BYTES },
      clock,
      log,
    });
    stops.add(() => listener.stop(STOP_GRACE_MS));
    stops.add(() => health.setServing(false));
    stops.add(
      keepServerCertificateFresh({
        issue: issueTls,
        clock,
        use: (tls) => listener.setCertificate(tls),
        onError: (cause) => onError('renewing the certificate of the server', cause),
      }),
    );

    return {
      address: `${isIPv6(config.host) ? `[${config.host}]` : config.host}:${listener.port}`,
      port: listener.port,
      publicUrl: identity.publicUrl,
      metricsUrl: observed.url,
      caPath,
      caFingerprint: digestText(digest(authority.rootCertificate)),
      failed: failure.promise,
      stop: () => stops.run(),
    };
  } catch (cause) {
    await stops.run();
    throw cause;
  }
}
