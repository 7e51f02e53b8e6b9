// What the operator sets: a flag beats the environment beats the file (--config, JSON). All that is wrong
// is told at once, by the names he knows, and nothing impossible is quietly made possible.
import { readFileSync } from 'node:fs';
import {
  type LogLevel,
  type SettingName,
  type Settings,
  settingNames,
  settings,
  variableOf,
} from './settings.ts';
import type { Quota } from './clients/quota.ts';
import type { CallLimits } from './rpc/call-limits.ts';
import type { StoreLocation } from './store/location.ts';

export interface ServerConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly dataDir: string;
  /** Of the return page, plain HTTP, for what terminates TLS in front of it. 0 takes a free one. */
  readonly httpPort: number;
  /** Where /metrics and /health are served; null for nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** Where browsers reach the return page; null for the HTTP port itself. */
  readonly publicUrl: string | null;
  readonly trustDomain: string;
  readonly store: StoreLocation;
  /** None for a single replica, one for a Redis alone, several for a Cluster. */
  readonly redisUrls: readonly string[];
  readonly stripe: StripeConfig;
  /** Under which callers reach the port. */
  readonly names: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] };
  readonly heartbeat: {
    readonly baseIntervalMs: number;
    /** A node is lost so many granted intervals after its last accepted beat. */
    readonly lostAfterIntervals: number;
    /** The whole fleet's beats a second; the interval is stretched to keep to it. */
    readonly maxBeatsPerSecond: number;
  };
  readonly certificates: { readonly nodeHours: number };
  /** What ended jobs leave is kept for so long, unless it is acknowledged before. */
  readonly outputRetentionMs: number;
  readonly limits: {
    readonly maxConnections: number;
    readonly maxUncertifiedConnections: number;
    readonly maxStreamsPerConnection: number;
    readonly enrolmentsPerAddressPerSecond: number;
    readonly enrolmentBurstPerAddress: number;
    readonly enrolmentsPerKeyPerMinute: number;
    readonly maxAttempts: number;
    readonly calls: CallLimits;
    readonly maxConnectionsPerAddress: number;
    readonly maxHandshakesPerAddress: number;
  };
  /** Of clients that have none of their own. */
  readonly quota: Quota;
  readonly logLevel: LogLevel;
}

export type StripeConfig =
  | { readonly kind: 'live'; readonly secretKey: string; readonly clientId: string }
  | { readonly kind: 'simulator'; readonly url: string };

/** The trust domain of everything that never saw a real Stripe account. */
export const DEVELOPMENT_TRUST_DOMAIN = 'dev.gap-junction';

/** All that is wrong with the configuration, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(problems: readonly string[]) {
    super(`reading the configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

export interface ConfigSources {
  /** By setting name, as the command line gave them; undefined where it did not. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of a JSON file. */
  readonly file?: string | undefined;
}

/** Throws ConfigError with every problem found. Values of secrets are never part of it. */
export function loadConfig(sources: ConfigSources): ServerConfig {
  const problems: string[] = [];
  const file = sources.file === undefined ? {} : readConfigFile(sources.file, problems);
  const raw: Record<string, unknown> = {};
  for (const name of settingNames) {
    const set = [
      sources.flags[name],
      sources.environment[variableOf(name)] || undefined,
      file[name],
    ];
    raw[name] = set.find((value) => value !== undefined);
  }
  const parsed = settings.safeParse(raw);
  for (const issue of parsed.error?.issues ?? []) {
    problems.push(`${variableOf(String(issue.path[0]))} ${issue.message}`);
  }
  if (!parsed.success) throw new ConfigError(problems);
  const stripe = stripeOf(parsed.data, problems);
  const trustDomain = trustDomainOf(parsed.data, problems);
  checkTogether(parsed.data, problems);
  if (problems.length > 0 || stripe === null) throw new ConfigError(problems);
  return configOf(parsed.data, { stripe, trustDomain });
}

function readConfigFile(path: string, problems: string[]): Record<string, unknown> {
  let file: unknown;
  try {
    file = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    problems.push(`the file '${path}' cannot be read as JSON: ${(cause as Error).message}`);
    return {};
  }
  if (typeof file !== 'object' || file === null || Array.isArray(file)) {
    problems.push(`the file '${path}' must hold one JSON object`);
    return {};
  }
  for (const name of Object.keys(file)) {
    if (!settingNames.includes(name as SettingName)) {
      problems.push(`the file '${path}' sets '${name}', which is no setting`);
    }
  }
  return file as Record<string, unknown>;
}

function stripeOf(set: Settings, problems: string[]): StripeConfig | null {
  if (set.stripe === 'simulator') {
    if (set.stripeSecretKey !== undefined) {
      problems.push('GJ_STRIPE_SECRET_KEY cannot be set together with GJ_STRIPE=simulator');
    }
    if (set.stripeSimulatorUrl === undefined) {
      problems.push('GJ_STRIPE_SIMULATOR_URL is needed with GJ_STRIPE=simulator');
      return null;
    }
    return { kind: 'simulator', url: set.stripeSimulatorUrl };
  }
  if (set.stripeSimulatorUrl !== undefined) {
    problems.push('GJ_STRIPE_SIMULATOR_URL is of no use without GJ_STRIPE=simulator');
  }
  if (set.stripeSecretKey === undefined || set.stripeClientId === undefined) {
    problems.push(
      "GJ_STRIPE_SECRET_KEY and GJ_STRIPE_CLIENT_ID are needed: nodes are bound to Stripe accounts; '--stripe=simulator' is for trying things out",
    );
    return null;
  }
  return { kind: 'live', secretKey: set.stripeSecretKey, clientId: set.stripeClientId };
}

function trustDomainOf(set: Settings, problems: string[]): string {
  if (set.stripe === 'simulator') {
    if (set.trustDomain !== undefined && set.trustDomain !== DEVELOPMENT_TRUST_DOMAIN) {
      problems.push(
        `GJ_TRUST_DOMAIN must be '${DEVELOPMENT_TRUST_DOMAIN}' with GJ_STRIPE=simulator: no simulated account may pass for a real one`,
      );
    }
    return DEVELOPMENT_TRUST_DOMAIN;
  }
  if (set.trustDomain === undefined) {
    problems.push('GJ_TRUST_DOMAIN is needed: the domain name that certificates are issued under');
  } else if (set.trustDomain === DEVELOPMENT_TRUST_DOMAIN) {
    problems.push(`GJ_TRUST_DOMAIN '${DEVELOPMENT_TRUST_DOMAIN}' is for GJ_STRIPE=simulator alone`);
  }
  return set.trustDomain ?? '';
}

function checkTogether(set: Settings, problems: string[]): void {
  if (set.maxUncertifiedConnections > set.maxConnections) {
    problems.push('GJ_MAX_UNCERTIFIED_CONNECTIONS must be at most GJ_MAX_CONNECTIONS');
  }
  if (set.redisUrl.length > 0 && set.databaseUrl === undefined) {
    problems.push('GJ_REDIS_URL needs GJ_DATABASE_URL: replicas share the database, too');
  }
  // Stripe redirects an owner's browser to registered https addresses alone.
  if (set.stripe !== 'simulator' && !(set.publicUrl ?? '').startsWith('https://')) {
    problems.push(
      'GJ_PUBLIC_URL is needed with a Stripe key: the https address at which browsers reach GJ_HTTP_PORT',
    );
  }
  if (set.publicUrl !== undefined && set.httpPort === 0) {
    problems.push('GJ_HTTP_PORT is needed with GJ_PUBLIC_URL: the port that it leads to');
  }
  if (set.enrolmentBurstPerAddress < set.enrolmentsPerAddressPerSecond) {
    problems.push(
      'GJ_ENROLMENT_BURST_PER_ADDRESS must be at least GJ_ENROLMENTS_PER_ADDRESS_PER_SECOND',
    );
  }
  for (const [burst, rate] of [
    ['callBurstPerCertificate', 'callsPerSecondPerCertificate'],
    ['callBurstPerAddress', 'callsPerSecondPerAddress'],
  ] as const) {
    if (set[burst] < set[rate]) {
      problems.push(`${variableOf(burst)} must be at least ${variableOf(rate)}`);
    }
  }
  if (set.dnsNames.length + set.ipAddresses.length === 0) {
    problems.push('GJ_DNS_NAMES or GJ_IP_ADDRESSES must name the server');
  }
}

function configOf(
  set: Settings,
  { stripe, trustDomain }: Pick<ServerConfig, 'stripe' | 'trustDomain'>,
): ServerConfig {
  return {
    host: set.host,
    port: set.port,
    dataDir: set.dataDir,
    httpPort: set.httpPort,
    metrics:
      set.metricsPort === undefined ? null : { host: set.metricsHost, port: set.metricsPort },
    publicUrl: set.publicUrl ?? null,
    trustDomain,
    store:
      set.databaseUrl === undefined
        ? { kind: 'folder', path: set.dataDir }
        : { kind: 'postgresql', url: set.databaseUrl },
    redisUrls: set.redisUrl,
    stripe,
    names: { dnsNames: set.dnsNames, ipAddresses: set.ipAddresses },
    heartbeat: {
      baseIntervalMs: set.heartbeatIntervalMs,
      lostAfterIntervals: set.lostAfterIntervals,
      maxBeatsPerSecond: set.maxBeatsPerSecond,
    },
    certificates: { nodeHours: set.nodeCertificateHours },
    outputRetentionMs: set.outputRetentionMinutes * 60_000,
    limits: {
      maxConnections: set.maxConnections,
      maxUncertifiedConnections: set.maxUncertifiedConnections,
      maxStreamsPerConnection: set.maxStreamsPerConnection,
      enrolmentsPerAddressPerSecond: set.enrolmentsPerAddressPerSecond,
      enrolmentBurstPerAddress: set.enrolmentBurstPerAddress,
      enrolmentsPerKeyPerMinute: set.enrolmentsPerKeyPerMinute,
      maxAttempts: set.maxAttempts,
      calls: {
        perCertificate: {
          perSecond: set.callsPerSecondPerCertificate,
          burst: set.callBurstPerCertificate,
        },
        perAddress: { perSecond: set.callsPerSecondPerAddress, burst: set.callBurstPerAddress },
        maxStreamsPerCertificate: set.maxStreamsPerCertificate,
      },
      maxConnectionsPerAddress: set.maxConnectionsPerAddress,
      maxHandshakesPerAddress: set.maxHandshakesPerAddress,
    },
    quota: {
      jobsInFlight: set.clientJobsInFlight,
      jobsQueued: set.clientJobsQueued,
      fuelPerHour: BigInt(set.clientFuelPerHour),
      blobBytes: set.maxBlobBytesPerClient,
    },
    logLevel: set.logLevel,
  };
}
