// Every setting by name: what it is, what it may be, what it is when nobody sets it.
import { isIP } from 'node:net';
import { z } from 'zod';
import { isTrustDomain } from '../protocol/identity/spiffe.ts';
import { DEFAULT_QUOTA } from './clients/quota.ts';
import { DEFAULT_ADDRESS_LIMITS } from './rpc/address-counts.ts';
import { DEFAULT_CALL_LIMITS } from './rpc/call-limits.ts';

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** 1 s keeps tests quick; an hour would leave a dead node with its leases. */
const INTERVAL_RANGE_MS = [100, 3_600_000] as const;

const GIB = 1024 ** 3;

const port = integer(0, 65_535);
const list = z
  .union([z.array(z.string()), z.string().transform((text) => text.split(',').filter(Boolean))])
  .pipe(z.array(z.string().min(1).max(253)).max(50));

function integer(least: number, most: number) {
  return z.coerce
    .number({ error: `must be a whole number from ${least} to ${most}` })
    .int(`must be a whole number from ${least} to ${most}`)
    .min(least, `must be at least ${least}`)
    .max(most, `must be at most ${most}`);
}

function url(...protocols: readonly string[]) {
  const wanted = protocols.map((protocol) => `${protocol}://`).join(' or ');
  return z
    .string()
    .refine(
      (text) => protocols.includes(URL.parse(text)?.protocol.slice(0, -1) ?? ''),
      `must be a URL that begins with ${wanted}`,
    );
}

/** Each setting: in the file by this name, in the environment as GJ_ and the name in capitals. */
export const settings = z.object({
  host: z
    .string()
    .refine((text) => isIP(text) !== 0, 'must be an IP address')
    .default('127.0.0.1')
    .describe('IP address to listen on'),
  port: port.default(8443).describe('port of the gRPC services; 0 takes a free one'),
  dataDir: z
    .string({ error: 'is needed: the folder for keys and data' })
    .min(1)
    .max(4096)
    .describe('folder for keys and data'),
  httpPort: port.default(0).describe('port of the return page, plain HTTP; 0 takes a free one'),
  metricsPort: port
    .optional()
    .describe('port of /metrics and /health, plain HTTP; 0 takes a free one; none by default'),
  metricsHost: z
    .string()
    .refine((text) => isIP(text) !== 0, 'must be an IP address')
    .default('127.0.0.1')
    .describe('IP address of that port: it has no authentication'),
  publicUrl: url('https', 'http').optional().describe('where browsers reach the return page'),
  trustDomain: z
    .string()
    .refine(isTrustDomain, 'must be a lower-case domain name')
    .optional()
    .describe('domain name that certificates are issued under'),
  databaseUrl: url('postgresql', 'postgres')
    .optional()
    .describe('PostgreSQL; without it PGlite in the data folder'),
  redisUrl: list
    .pipe(
      z
        .array(url('redis', 'rediss'))
        .refine(
          (urls) =>
            urls.length < 2 || urls.every((text) => /^\/?(0?)$/.test(new URL(text).pathname)),
          'must name no database but 0 where it names several servers: a Cluster has one',
        ),
    )
    .default([])
    .describe('Redis, several with commas for a Cluster; without it there is one replica'),
  stripe: z
    .literal('simulator', { error: "can only be 'simulator'" })
    .optional()
    .describe("'simulator' to try things out without Stripe"),
  stripeSecretKey: z
    .string()
    .regex(/^(sk|rk)_[A-Za-z0-9_]{8,250}$/, 'must be a secret key of Stripe (sk_... or rk_...)')
    .optional()
    .describe('secret key of Stripe'),
  stripeClientId: z
    .string()
    .regex(/^ca_[A-Za-z0-9_]{3,250}$/, "must be the platform's client id (ca_...)")
    .optional()
    .describe('OAuth client id of the platform at Stripe'),
  stripeSimulatorUrl: url('http').optional().describe('address of the simulator'),
  dnsNames: list.default(['localhost']).describe('DNS names of this server, with commas'),
  ipAddresses: list
    .pipe(z.array(z.string().refine((text) => isIP(text) !== 0, 'must be IP addresses')))
    .default(['127.0.0.1', '::1'])
    .describe('IP addresses of this server, with commas'),
  heartbeatIntervalMs: integer(...INTERVAL_RANGE_MS)
    .default(15_000)
    .describe('base interval of heartbeats'),
  lostAfterIntervals: integer(2, 100)
    .default(4)
    .describe('intervals without a beat after which a node is lost'),
  maxBeatsPerSecond: integer(1, 100_000)
    .default(2000)
    .describe('beats of the whole fleet; the interval stretches to keep to it'),
  nodeCertificateHours: integer(1, 24 * 30)
    .default(24)
    .describe("life of a node's certificate"),
  maxConnections: integer(10, 1_000_000).default(12_000).describe('connections at once'),
  maxUncertifiedConnections: integer(1, 1_000_000)
    .default(1000)
    .describe('of those, without a valid certificate'),
  maxStreamsPerConnection: integer(4, 1000).default(32).describe('calls at once on a connection'),
  enrolmentsPerAddressPerSecond: integer(1, 1_000_000)
    .default(1)
    .describe('enrolment calls of one address'),
  enrolmentBurstPerAddress: integer(1, 1_000_000)
    .default(10)
    .describe('enrolment calls of one address at once'),
  enrolmentsPerKeyPerMinute: integer(1, 1_000_000)
    .default(10)
    .describe('enrolment calls for one key'),
  maxAttempts: integer(1, 10).default(3).describe('nodes that a job is tried on'),
  outputRetentionMinutes: integer(1, 7 * 24 * 60)
    .default(60)
    .describe('minutes for which outputs, inputs and logs of ended jobs are kept'),
  maxBlobBytesPerClient: integer(1, 1024 * GIB)
    .default(DEFAULT_QUOTA.blobBytes)
    .describe('stored bytes of one client, where it has no quota of its own'),
  clientJobsInFlight: integer(1, 1_000_000)
    .default(DEFAULT_QUOTA.jobsInFlight)
    .describe('jobs of one client that hold a lease, where it has no quota of its own'),
  clientJobsQueued: integer(1, 10_000_000)
    .default(DEFAULT_QUOTA.jobsQueued)
    .describe('jobs of one client that wait, where it has no quota of its own'),
  clientFuelPerHour: integer(1_000_000, Number.MAX_SAFE_INTEGER)
    .default(Number(DEFAULT_QUOTA.fuelPerHour))
    .describe(
      'fuel of one client, burnt within the hour or reserved, where it has no quota of its own',
    ),
  callsPerSecondPerCertificate: integer(1, 1_000_000)
    .default(DEFAULT_CALL_LIMITS.perCertificate.perSecond)
    .describe('calls with one certificate'),
  callBurstPerCertificate: integer(1, 10_000_000)
    .default(DEFAULT_CALL_LIMITS.perCertificate.burst)
    .describe('calls with one certificate at once'),
  callsPerSecondPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_CALL_LIMITS.perAddress.perSecond)
    .describe('calls from one address'),
  callBurstPerAddress: integer(1, 10_000_000)
    .default(DEFAULT_CALL_LIMITS.perAddress.burst)
    .describe('calls from one address at once'),
  maxStreamsPerCertificate: integer(4, 1_000_000)
    .default(DEFAULT_CALL_LIMITS.maxStreamsPerCertificate)
    .describe('streams that are open with one certificate'),
  maxConnectionsPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_ADDRESS_LIMITS.maxConnectionsPerAddress)
    .describe('connections from one address'),
  maxHandshakesPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_ADDRESS_LIMITS.maxHandshakesPerAddress)
    .describe('of those, in their handshake'),
  logLevel: z.enum(LOG_LEVELS).default('info').describe('debug, info, warn, error or silent'),
});

export type Settings = z.output<typeof settings>;
export type SettingName = keyof Settings;
export type LogLevel = Settings['logLevel'];

export const settingNames = Object.keys(settings.shape) as SettingName[];

/** What the setting is, and its default where it has one, for people. */
export function describeSetting(name: SettingName): string {
  const schema = settings.shape[name];
  const { data } = schema.safeParse(undefined);
  const fallback = data === undefined ? '' : `; ${String(data)} by default`;
  return `${schema.description ?? name} (${variableOf(name)}${fallback})`;
}

/** `GJ_DATA_DIR` for `dataDir`. */
export function variableOf(name: string): string {
  return `GJ_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
