// What enrolment and heartbeat need around them, all real but the clock: a database in memory, key files,
// the Stripe simulator behind the real client. The services are called as the listener would call them.
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { pino } from 'pino';
import type { NodeIdentitySchema } from '#gen/gapjunction/node/v1/enrolment_pb';
import {
  EnrolmentService,
  EnrolRequestSchema,
  RenewRequestSchema,
} from '#gen/gapjunction/node/v1/enrolment_pb';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { Revocations } from '../../server/certificates/revocations.ts';
import { enrolmentService, type EnrolmentDeps } from '../../server/enrolment/enrolment-service.ts';
import { LocalAnnouncements } from '../../server/jobs/announcements.ts';
import { Fleet } from '../../server/nodes/fleet.ts';
import type { CallContext, Caller, CallerOf, Handlers } from '../../server/rpc/service.ts';
import { openFileSecrets } from '../../server/secrets/file-secrets.ts';
import type { Secrets } from '../../server/secrets/secrets.ts';
import { openStore, type OpenStore } from '../../server/store/open.ts';
import type { Store } from '../../server/store/store.ts';
import { query } from '../../server/store/query.ts';
import { connectStripe } from '../../server/stripe/stripe.ts';
import type { AccountSwitches } from '../../stripe-simulator/account.ts';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import { TestClock } from '../fakes/clock.ts';
import { makeCsr, makeOwnerKey, type OwnerKey } from '../fakes/owner.ts';
import { storeTemplate } from '../fakes/store-template.ts';

export type Identity = MessageInitShape<typeof NodeIdentitySchema>;

const BASE_INTERVAL_MS = 15_000;
/** Of time that passes: a fleet that is judged so often is not taken for one that nobody judged. */
const STEP_MS = 5_000;
const unexpected = (doing: string, cause: unknown): void => {
  throw new Error(`${doing} failed`, { cause });
};

export class IdentityWorld {
  readonly clock: TestClock;
  readonly store: OpenStore;
  readonly secrets: Secrets;
  readonly simulator: StripeSimulator;
  readonly revocations: Revocations;
  readonly announcements: LocalAnnouncements;
  readonly fleet: Fleet;
  readonly enrolment: Handlers<typeof EnrolmentService>;
  readonly enrolmentDeps: EnrolmentDeps;
  readonly #dataDir: string;
  readonly #ownsStore: boolean;
  #failures: string[] | null = null;
  /** For how long its replicas could accept nobody's beat. */
  deafForMs = 0;
  /** Of the return page; a test that has one sets it. */
  publicUrl = 'http://127.0.0.1:1';

  private constructor(parts: {
    clock: TestClock;
    store: OpenStore;
    secrets: Secrets;
    simulator: StripeSimulator;
    revocations: Revocations;
    announcements: LocalAnnouncements;
    fleet: Fleet;
    dataDir: string;
    loopbackRedirects: boolean;
    ownsStore: boolean;
  }) {
    this.clock = parts.clock;
    this.store = parts.store;
    this.secrets = parts.secrets;
    this.simulator = parts.simulator;
    this.revocations = parts.revocations;
    this.announcements = parts.announcements;
    this.fleet = parts.fleet;
    this.#dataDir = parts.dataDir;
    this.#ownsStore = parts.ownsStore;
    this.enrolmentDeps = {
      store: this.store,
      clock: this.clock,
      randomBytes,
      authority: this.secrets.authority,
      heartbeatMaster: this.secrets.heartbeatMaster,
      certificateLifeMs: 24 * 3_600_000,
      revocations: this.revocations,
      fleet: this.fleet,
      limit: async () => {},
      loopbackRedirects: parts.loopbackRedirects,
      publicUrl: () => this.publicUrl,
      stripe: connectStripe({
        secretKey: 'sk_test_gap',
        clientId: 'ca_gap',
        simulatorUrl: this.simulator.url,
        maxRetries: 1,
      }),
    };
    this.enrolment = handlersOf(this.enrolmentDeps);
  }

  /** With a `store` of the test's own, which it closes itself; in memory otherwise. */
  static async open({
    loopbackRedirects = true,
    store: given,
  }: { loopbackRedirects?: boolean; store?: OpenStore } = {}): Promise<IdentityWorld> {
    const clock = new TestClock(Date.now());
    const dataDir = mkdtempSync(join(tmpdir(), 'gj-identity-'));
    const store =
      given ??
      (await openStore(
        { kind: 'memory' },
        { clock, exclusive: true, template: await storeTemplate() },
      ));
    const secrets = await openFileSecrets({
      dataDir,
      trustDomain: 'test.gap-junction',
      nowMs: clock.now(),
      inUse: false,
    });
    const simulator = await startStripeSimulator({ port: 0 });
    const revocations = await Revocations.open({
      store,
      clock,
      announcements: new LocalAnnouncements(),
      onError: (cause) => unexpected('reading', cause),
    });
    const announcements = new LocalAnnouncements();
    await setDatabaseClock(store, clock.now());
    const fleet = await Fleet.open({
      store,
      clock,
      announcements,
      baseIntervalMs: BASE_INTERVAL_MS,
      lostAfterIntervals: 4,
      deafForMs: () => world.deafForMs,
      onError: (doing, cause) => world.onError(doing, cause),
    });
    const parts = { clock, store, secrets, simulator, revocations, announcements, fleet, dataDir };
    const world = new IdentityWorld({
      ...parts,
      loopbackRedirects,
      ownsStore: given === undefined,
    });
    return world;
  }

  async close(): Promise<void> {
    await this.fleet.close();
    await this.revocations.close();
    await this.simulator.stop();
    if (this.#ownsStore) await this.store.close();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Another replica on the same database; `store` in place of the world's own. */
  async restartFleet(onError = unexpected, store: Store = this.store): Promise<Fleet> {
    return Fleet.open({
      store,
      clock: this.clock,
      announcements: this.announcements,
      baseIntervalMs: BASE_INTERVAL_MS,
      lostAfterIntervals: 4,
      deafForMs: () => this.deafForMs,
      onError,
    });
  }

  onError(doing: string, cause: unknown): void {
    if (this.#failures === null) unexpected(doing, cause);
    this.#failures?.push(doing);
  }

  /** Until `expectNoFailures`, what goes wrong in the background of the world's fleet comes in here. */
  expectFailures(): readonly string[] {
    this.#failures = [];
    return this.#failures;
  }

  expectNoFailures(): void {
    this.#failures = null;
  }

  /** Time passes for the process and for the database alike, and what is due is done. */
  async passTime(byMs: number): Promise<void> {
    await setDatabaseClock(this.store, this.clock.now() + byMs);
    this.clock.jump(byMs);
    await this.fleet.settled();
  }

  /** As `passTime`, in steps in which these fleets, and the world's, do what is due: nobody slept. */
  async liveThrough(byMs: number, ...fleets: readonly Fleet[]): Promise<void> {
    for (let leftMs = byMs; leftMs > 0; leftMs -= STEP_MS) {
      await this.passTime(Math.min(leftMs, STEP_MS));
      for (const fleet of fleets) await fleet.settled();
    }
  }

  /** Orders a fault of the simulator. */
  async fault(fault: Readonly<Record<string, unknown>>): Promise<void> {
    await this.control('POST', 'faults', fault);
  }

  async setAccount(name: string, switches: Partial<AccountSwitches>): Promise<void> {
    await this.control('POST', 'accounts', { name, ...switches });
  }

  async control(method: string, path: string, body: unknown): Promise<void> {
    const response = await fetch(`${this.simulator.url}/simulator/${path}`, {
      method,
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`simulator: ${await response.text()}`);
  }

  /** StartEnrolment for a key, with a loopback port. */
  async start(key: OwnerKey): Promise<{ state: string; connectUrl: string }> {
    const { state, connectUrl } = await this.enrolment.startEnrolment(
      { publicKeySha256: key.digest, loopbackPort: 40_000 } as never,
      anyone,
    );
    return { state: state ?? '', connectUrl: connectUrl ?? '' };
  }

  /** The browser's part: Stripe's code for an account. */
  async visit(connectUrl: string, accountName: string, switches?: AccountSwitches) {
    const back = await connectAccount(connectUrl, {
      accountName,
      ...(switches === undefined ? {} : { switches }),
    });
    return back.searchParams.get('code') ?? '';
  }

  async enrol(request: MessageInitShape<typeof EnrolRequestSchema>): Promise<Identity> {
    const { identity } = await this.enrolment.enrol(create(EnrolRequestSchema, request), anyone);
    if (identity === undefined) throw new Error('Enrol answered no identity');
    return identity;
  }

  async renew(caller: CallerOf<'node'>, key: OwnerKey, counter: bigint): Promise<Identity> {
    return this.renewWith(caller, await makeCsr(key), counter);
  }

  async renewWith(caller: CallerOf<'node'>, csr: Uint8Array, counter: bigint): Promise<Identity> {
    const request = create(RenewRequestSchema, { csr, renewalCounter: counter });
    const { identity } = await this.enrolment.renew(request, contextOf(caller));
    if (identity === undefined) throw new Error('Renew answered no identity');
    return identity;
  }

  /** A node, enrolled by the straight path. */
  async enrolled(accountName: string, { replace = false } = {}) {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await this.start(key);
    const code = await this.visit(connectUrl, accountName);
    const identity = await this.enrol({
      csr: await makeCsr(key),
      state,
      proof: { case: 'stripeCode', value: code },
      replace,
    });
    return { key, identity, caller: callerFrom(identity) };
  }

  async auditActions(subject: string): Promise<string[]> {
    const rows = await this.store.read((em) =>
      query<{ action: string }>(
        em,
        'select action from audit_entry where subject = $1 order by entry_number',
        [subject],
      ),
    );
    return rows.map(({ action }) => action);
  }
}

/** It stands still there until it is set again, as the test's own does. */
export async function setDatabaseClock(store: OpenStore, nowMs: number): Promise<void> {
  await store.transaction((em) =>
    query(
      em,
      `create or replace function gap_junction_now() returns timestamptz language sql volatile
       as 'select to_timestamp(${nowMs}::float8 / 1000)'`,
    ),
  );
}

export function handlersOf(deps: EnrolmentDeps): Handlers<typeof EnrolmentService> {
  return enrolmentService(deps).handlers as unknown as Handlers<typeof EnrolmentService>;
}

/** The caller that the listener makes of a certificate. */
export function callerFrom(identity: Identity): CallerOf<'node'> {
  const [leaf, issuer] = identity.certificateChain ?? [];
  if (leaf === undefined || issuer === undefined) throw new Error('the chain is not whole');
  const certificate = new X509Certificate(leaf);
  return {
    kind: 'node',
    nodeId: identity.nodeId ?? '',
    serial: serialHex(certificate.serialNumber),
    keyId: keyIdOf(certificate.publicKey) ?? new Uint8Array(),
    expiresAtMs: certificate.validToDate.getTime(),
    chain: [leaf, issuer],
  };
}

export function contextOf(caller: Caller): CallContext {
  return {
    caller,
    requestId: 'test',
    address: '127.0.0.1',
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  };
}

export const anyone: CallContext = contextOf({ kind: 'anyone' });
