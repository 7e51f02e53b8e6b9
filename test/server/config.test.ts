import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../server/config.ts';
import { settingNames, variableOf } from '../../server/settings.ts';

const SIMULATED = {
  GJ_DATA_DIR: '/var/lib/gap-junction',
  GJ_STRIPE: 'simulator',
  GJ_STRIPE_SIMULATOR_URL: 'http://127.0.0.1:12111',
};
const LIVE = {
  GJ_DATA_DIR: '/var/lib/gap-junction',
  GJ_TRUST_DOMAIN: 'gj.example',
  GJ_STRIPE_SECRET_KEY: 'sk_live_0123456789',
  GJ_STRIPE_CLIENT_ID: 'ca_0123456789',
  GJ_PUBLIC_URL: 'https://gj.example',
  GJ_HTTP_PORT: '8080',
};

const load = (environment: Record<string, string>, flags = {}) =>
  loadConfig({ environment, flags });

describe('the configuration', () => {
  it('says the documented defaults where nothing is set', () => {
    const config = load(LIVE);
    expect(config).to.deep.include({
      host: '127.0.0.1',
      trustDomain: 'gj.example',
      store: { kind: 'folder', path: '/var/lib/gap-junction' },
      redisUrls: [],
      stripe: { kind: 'live', secretKey: 'sk_live_0123456789', clientId: 'ca_0123456789' },
    });
    expect(config.heartbeat).to.deep.equal({
      baseIntervalMs: 15_000,
      lostAfterIntervals: 4,
      maxBeatsPerSecond: 2000,
    });
    expect(config.limits).to.include({ enrolmentBurstPerAddress: 10, maxAttempts: 3 });
  });

  it('takes a flag before the environment before the file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-config-'));
    const file = join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ port: 1111, maxAttempts: 5, dnsNames: ['a.example'] }));
    const environment = { ...SIMULATED, GJ_PORT: '2222', GJ_MAX_ATTEMPTS: '4' };
    const config = loadConfig({ environment, flags: { port: '3333' }, file });
    rmSync(folder, { recursive: true });
    expect([config.port, config.limits.maxAttempts]).to.deep.equal([3333, 4]);
    expect(config.names.dnsNames).to.deep.equal(['a.example']);
  });

  it('puts all that never saw a real account under the trust domain of development', () => {
    expect(load(SIMULATED).trustDomain).to.equal('dev.gap-junction');
  });

  const wrongs: readonly [string, Record<string, string>][] = [
    ['GJ_DATA_DIR is needed', { ...SIMULATED, GJ_DATA_DIR: '' }],
    [
      'GJ_STRIPE_SECRET_KEY and GJ_STRIPE_CLIENT_ID are needed',
      { ...LIVE, GJ_STRIPE_CLIENT_ID: '' },
    ],
    [
      'GJ_STRIPE_SECRET_KEY must be a secret key',
      { ...LIVE, GJ_STRIPE_SECRET_KEY: 'pk_live_12345678' },
    ],
    ['GJ_STRIPE_SECRET_KEY cannot be set together', { ...LIVE, ...SIMULATED }],
    ["GJ_STRIPE can only be 'simulator'", { ...SIMULATED, GJ_STRIPE: 'fake' }],
    ['GJ_STRIPE_SIMULATOR_URL is needed', { ...SIMULATED, GJ_STRIPE_SIMULATOR_URL: '' }],
    [
      'GJ_STRIPE_SIMULATOR_URL is of no use',
      { ...LIVE, GJ_STRIPE_SIMULATOR_URL: 'http://127.0.0.1:1' },
    ],
    ['GJ_TRUST_DOMAIN is needed', { ...LIVE, GJ_TRUST_DOMAIN: '' }],
    ['GJ_TRUST_DOMAIN must be', { ...SIMULATED, GJ_TRUST_DOMAIN: 'gj.example' }],
    ["GJ_TRUST_DOMAIN 'dev.gap-junction' is for", { ...LIVE, GJ_TRUST_DOMAIN: 'dev.gap-junction' }],
    ['GJ_TRUST_DOMAIN must be a lower-case domain name', { ...LIVE, GJ_TRUST_DOMAIN: 'GJ/x' }],
    ['GJ_PORT must be at most 65535', { ...SIMULATED, GJ_PORT: '65536' }],
    ['GJ_PORT must be at least 0', { ...SIMULATED, GJ_PORT: '-1' }],
    ['GJ_PORT must be a whole number', { ...SIMULATED, GJ_PORT: '80.5' }],
    ['GJ_PORT must be a whole number', { ...SIMULATED, GJ_PORT: 'http' }],
    ['GJ_HOST must be an IP address', { ...SIMULATED, GJ_HOST: 'example.com' }],
    ['GJ_PUBLIC_URL must be a URL', { ...SIMULATED, GJ_PUBLIC_URL: 'ftp://example.com' }],
    ['GJ_PUBLIC_URL is needed', { ...LIVE, GJ_PUBLIC_URL: '' }],
    ['GJ_PUBLIC_URL is needed', { ...LIVE, GJ_PUBLIC_URL: 'http://gj.example' }],
    ['GJ_HTTP_PORT is needed', { ...LIVE, GJ_HTTP_PORT: '' }],
    ['GJ_DATABASE_URL must be a URL', { ...SIMULATED, GJ_DATABASE_URL: 'mysql://localhost' }],
    ['GJ_REDIS_URL needs GJ_DATABASE_URL', { ...SIMULATED, GJ_REDIS_URL: 'redis://localhost' }],
    [
      'GJ_IP_ADDRESSES must be IP addresses',
      { ...SIMULATED, GJ_IP_ADDRESSES: '127.0.0.1,nowhere' },
    ],
    ['must name the server', { ...SIMULATED, GJ_IP_ADDRESSES: ',', GJ_DNS_NAMES: ',' }],
    ['GJ_HEARTBEAT_INTERVAL_MS must be at least', { ...SIMULATED, GJ_HEARTBEAT_INTERVAL_MS: '5' }],
    ['GJ_LOST_AFTER_INTERVALS must be at least 2', { ...SIMULATED, GJ_LOST_AFTER_INTERVALS: '1' }],
    ['GJ_MAX_ATTEMPTS must be at least 1', { ...SIMULATED, GJ_MAX_ATTEMPTS: '0' }],
    [
      'GJ_OUTPUT_RETENTION_MINUTES must be at least 1',
      { ...SIMULATED, GJ_OUTPUT_RETENTION_MINUTES: '0' },
    ],
    [
      'GJ_OUTPUT_RETENTION_MINUTES must be at most 10080',
      { ...SIMULATED, GJ_OUTPUT_RETENTION_MINUTES: '10081' },
    ],
    [
      'GJ_NODE_CERTIFICATE_HOURS must be at most',
      { ...SIMULATED, GJ_NODE_CERTIFICATE_HOURS: '9999' },
    ],
    [
      'GJ_MAX_UNCERTIFIED_CONNECTIONS must be at most GJ_MAX_CONNECTIONS',
      { ...SIMULATED, GJ_MAX_CONNECTIONS: '10', GJ_MAX_UNCERTIFIED_CONNECTIONS: '11' },
    ],
    [
      'GJ_ENROLMENT_BURST_PER_ADDRESS must be at least',
      {
        ...SIMULATED,
        GJ_ENROLMENT_BURST_PER_ADDRESS: '1',
        GJ_ENROLMENTS_PER_ADDRESS_PER_SECOND: '2',
      },
    ],
  ];
  for (const [problem, environment] of wrongs) {
    it(`is refused by name: ${problem}`, () => {
      expect(() => load(environment)).to.throw(problem);
    });
  }

  it('tells every problem at once, and no secret', () => {
    const secret = 'sk-with-a-typo-hunter2';
    expect(() =>
      load({ ...LIVE, GJ_PORT: '-1', GJ_MAX_ATTEMPTS: '99', GJ_STRIPE_SECRET_KEY: secret }),
    )
      .to.throw()
      .with.property('message')
      .that.satisfies(
        (message: string) =>
          ['GJ_PORT', 'GJ_MAX_ATTEMPTS', 'GJ_STRIPE_SECRET_KEY'].every((name) =>
            message.includes(name),
          ) && !message.includes('hunter2'),
      );
  });

  for (const [what, text, problem] of [
    ['no JSON', '{', 'cannot be read as JSON'],
    ['a list', '[]', 'must hold one JSON object'],
    ['an unknown setting', '{"prot":1}', "sets 'prot', which is no setting"],
  ] as const) {
    it(`is refused for a file with ${what}`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'gap-junction-config-'));
      const file = join(folder, 'config.json');
      writeFileSync(file, text);
      expect(() => loadConfig({ environment: SIMULATED, flags: {}, file })).to.throw(problem);
      rmSync(folder, { recursive: true });
    });
  }

  it('has one variable for each setting', () => {
    expect(new Set(settingNames.map(variableOf)).size).to.equal(settingNames.length);
    expect(variableOf('dataDir')).to.equal('GJ_DATA_DIR');
  });
});
