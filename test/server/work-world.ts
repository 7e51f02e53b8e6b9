// What jobs and placement need around them, all real but the clock, the fleet and the nodes: a database
// (PGlite in memory, or PostgreSQL), blobs, the ledger, certificates of a test authority. The services are
// called as the listener would call them. One file, because its parts know each other and nobody else.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { pino } from 'pino';
import {
  GetJobRequestSchema,
  JobService,
  SubmitJobRequestSchema,
  TailLogsRequestSchema,
  WatchJobRequestSchema,
  type JobSchema,
  type JobSpecSchema,
  type TailLogsResponseSchema,
  type WatchJobResponseSchema,
} from '#gen/gapjunction/job/v1/job_pb';
import { AppendLogsRequestSchema, DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import { GJ_0_DIGEST_HEX, GJ_0_PROFILE } from '../../metering/metering.ts';
import { DEFAULT_LIMITS, MAX_LIMITS } from '../../protocol/bill/limits.ts';
import { DEFAULT_PRICE } from '../../protocol/bill/price.ts';
import { makeId } from '../../protocol/identity/ids.ts';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { clientHolder, DEFAULT_BLOB_LIMITS } from '../../server/blobs/blob.ts';
import { createBlobs, type Blobs } from '../../server/blobs/blobs.ts';
import { contentsInFiles } from '../../server/blobs/contents-in-files.ts';
import { type Clock, systemClock } from '../../server/clock.ts';
import type { Announcements } from '../../server/jobs/announcements.ts';
import { NOBODY, type JobObserver, type JobStep } from '../../server/jobs/job-observer.ts';
import { RpcError } from '../../server/rpc/error.ts';
import { jobService } from '../../server/jobs/job-service.ts';
import type { JobTariff } from '../../server/jobs/submission-store.ts';
import { DEFAULT_OUTPUT_RETENTION_MS, Retention } from '../../server/jobs/retention.ts';
import { ModuleCheck } from '../../server/jobs/module-check.ts';
import { Logs } from '../../server/logs/logs.ts';
import {
  balanceOf,
  creditClient,
  earningsOf,
  ledgerSum,
} from '../../server/ledger/ledger-store.ts';
import { insertNode, type BoundCertificate } from '../../server/nodes/node-store.ts';
import { openPlacement, type Placement } from '../../server/placement/placement.ts';
import type { CallContext, Caller, CallerOf, Handlers } from '../../server/rpc/service.ts';
import type { Signer } from '../../server/secrets/secrets.ts';
import { openStore, type OpenStore } from '../../server/store/open.ts';
import { query } from '../../server/store/query.ts';
import { AnnouncementBus } from '../fakes/announcement-bus.ts';
import { TestAuthority, type IssuedCertificate } from '../fakes/authority.ts';
import { ScriptedNode, type DispatchCalls } from '../fakes/scripted-node.ts';
import { whenAll } from '../all.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { storeTemplate } from '../fakes/store-template.ts';

export type JobMessage = MessageInitShape<typeof JobSchema>;
export type LogMessage = MessageInitShape<typeof TailLogsResponseSchema>;
export type WatchMessage = MessageInitShape<typeof WatchJobResponseSchema>;

/** Exports `_start`, which does nothing, and a memory of one page. */
export const EMPTY_PROGRAM = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02,
  0x01, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x0a, 0x01, 0x06, 0x5f, 0x73, 0x74, 0x61, 0x72,
  0x74, 0x00, 0x00, 0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b,
]);

export const LOST_PERIOD_MS = 60_000;

export interface WorkWorldOptions {
  /** The control plane's signer as it is to be. */
  readonly signer?: (real: Signer) => Signer;
  /** PGlite in memory unless told otherwise; closed with the world. */
  readonly store?: OpenStore;
}

export type OpenWorld = (options?: WorkWorldOptions) => Promise<WorkWorld>;

/** Describes `tests` on worlds over each kind of database: PGlite always, PostgreSQL when everything is run. */
export function onEachWorld(title: string, tests: (openWorld: OpenWorld) => void): void {
  describe(`${title} (PGlite)`, () => tests((options) => WorkWorld.open(options)));
  whenAll(`${title} (PostgreSQL)`, () => {
    let postgresql: Postgresql;
    before(async () => {
      postgresql = await startPostgresql();
    });
    after(() => postgresql.stop());
    // Inside, so that its worlds are closed before their database is.
    describe('', () =>
      tests(async (options) => {
        const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
        const store = await openStore(location, { clock: systemClock, exclusive: true });
        return WorkWorld.open({ ...options, store });
      }));
  });
}

export const TARIFF: JobTariff = {
  price: DEFAULT_PRICE,
  bounds: { defaults: DEFAULT_LIMITS, most: MAX_LIMITS },
  profile: GJ_0_PROFILE,
  profileDigest: Buffer.from(GJ_0_DIGEST_HEX, 'hex'),
};

export class WorkWorld {
  readonly clock: Clock = new ReplicaClock();
  readonly store: OpenStore;
  readonly authority: TestAuthority;
  readonly blobs: Blobs;
  readonly logs: Logs;
  readonly retention: Retention;
  readonly jobs: Handlers<typeof JobService>;
  readonly fleet = new TestFleet();
  readonly revokedSerials = new Set<string>();
  readonly announcementBus = new AnnouncementBus();
  readonly announcements: Announcements = this.announcementBus.connect();
  /** What went wrong in the background, for a test that wants it so. */
  readonly failures: { readonly doing: string; readonly cause: unknown }[] = [];
  /** Of all jobs, since the last reset, as an operator's log has them. */
  readonly steps: JobStep[] = [];
  readonly #observer: JobObserver = { ...NOBODY, step: (step) => this.steps.push(step) };
  placement: Placement;
  #signer: Signer;
  readonly #moduleCheck: ModuleCheck;
  /** Where large contents lie. */
  readonly dataDir: string;
  readonly #nodes: WorkNode[] = [];
  readonly #replicas: Placement[] = [];
  #shiftMs = 0;

  private constructor(parts: {
    store: OpenStore;
    authority: TestAuthority;
    signer: Signer;
    dataDir: string;
  }) {
    this.store = parts.store;
    this.authority = parts.authority;
    this.#signer = parts.signer;
    this.dataDir = parts.dataDir;
    const { clock, store } = this;
    this.blobs = createBlobs({
      store,
      contents: contentsInFiles(this.dataDir, DEFAULT_BLOB_LIMITS.chunkBytes),
      clock,
      limits: DEFAULT_BLOB_LIMITS,
      random: randomBytes,
    });
    const { announcements } = this;
    this.logs = new Logs({ store, announcements, clock, random: randomBytes });
    this.retention = new Retention({
      store,
      blobs: this.blobs,
      outputRetentionMs: DEFAULT_OUTPUT_RETENTION_MS,
      onError: (doing, cause) => this.failures.push({ doing, cause }),
    });
    this.#moduleCheck = new ModuleCheck(clock);
    this.jobs = jobService({
      store,
      blobs: this.blobs,
      logs: this.logs,
      retention: this.retention,
      moduleCheck: this.#moduleCheck,
      announcements: this.announcements,
      clock,
      random: randomBytes,
      observer: this.#observer,
      tariff: TARIFF,
    }).handlers as unknown as Handlers<typeof JobService>;
    this.placement = undefined as never;
  }

  static async open(options: WorkWorldOptions = {}): Promise<WorkWorld> {
    const dataDir = mkdtempSync(join(tmpdir(), 'gj-work-'));
    const authority = await TestAuthority.create();
    const signer = signerUnder(await authority.signer());
    const store =
      options.store ??
      (await openStore(
        { kind: 'memory' },
        { clock: systemClock, exclusive: true, template: await storeTemplate() },
      ));
    const world = new WorkWorld({
      store,
      authority,
      signer: options.signer?.(signer) ?? signer,
      dataDir,
    });
    await world.startPlacement();
    return world;
  }

  async startPlacement(): Promise<void> {
    this.placement = await this.#openPlacement(this);
  }

  /** A second replica over the same database, with streams, memory and a clock of its own. */
  async openReplica(): Promise<Replica> {
    const clock = new ReplicaClock();
    const announcements = this.announcementBus.connect();
    const placement = await this.#openPlacement({ clock, announcements });
    this.#replicas.push(placement);
    return { placement, clock };
  }

  #openPlacement({
    clock,
    announcements,
  }: {
    readonly clock: Clock;
    readonly announcements: Announcements;
  }): Promise<Placement> {
    const { store, blobs, fleet } = this;
    return openPlacement({
      store,
      clock,
      random: randomBytes,
      blobs,
      logs: this.logs,
      fleet,
      announcements,
      signer: this.#signer,
      isolationSecret: new Uint8Array(32),
      isRevoked: (serial) => this.revokedSerials.has(serial),
      lostPeriodMs: LOST_PERIOD_MS,
      observer: this.#observer,
      onError: (doing, cause) => this.failures.push({ doing, cause }),
    });
  }

  /** As an operator replaces the key that signs: another certificate, and a start. */
  async replaceSigner(): Promise<void> {
    this.#signer = signerUnder(await this.authority.signer());
    await this.restartPlacement();
  }

  /** The same database with nothing in memory, as after a kill. */
  async restartPlacement(): Promise<void> {
    await this.placement.close();
    await this.startPlacement();
  }

  async close(): Promise<void> {
    for (const placement of [this.placement, ...this.#replicas]) await placement.close();
    await this.#moduleCheck.close();
    await this.store.close();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** Time passes for the database, in which some replica judged the fleet; then placement looks at it. */
  async passTime(byMs: number, { isJudged = true } = {}): Promise<void> {
    this.#shiftMs += byMs;
    await this.store.transaction(async (em) => {
      await query(
        em,
        `create or replace function gap_junction_now() returns timestamptz language sql volatile
         as 'select clock_timestamp() + interval ''${this.#shiftMs} milliseconds'''`,
      );
      if (isJudged)
        await query(em, 'update liveness_grace set observed_ms = gap_junction_now_ms()');
    });
    await this.placement.sweep();
  }

  /** A client with money, and the empty program uploaded and registered. */
  async client({ microcents = 10n ** 9n } = {}): Promise<TestClient> {
    const clientId = makeId('c', randomBytes);
    await this.store.transaction((em) =>
      creditClient(em, { clientId, requestId: clientId, operatorId: 'o-test', microcents }),
    );
    return new TestClient(this, clientId);
  }

  /** Forgets the jobs and nodes of one test before the next. */
  async reset(): Promise<void> {
    for (const node of this.#nodes.splice(0)) await node.disconnect();
    this.fleet.live.clear();
    this.failures.length = 0;
    this.steps.length = 0;
    await this.#emptyTables();
  }

  /** What placement was about to do may hold one of the tables and want another. */
  async #emptyTables(): Promise<void> {
    for (;;) {
      try {
        await this.store.transaction((em) =>
          query(em, 'truncate job, attempt, bill, client_queue, client_fuel_minute'),
        );
        return;
      } catch (cause) {
        if (!(cause instanceof RpcError && cause.reason === 'TRANSACTION_CONFLICT')) throw cause;
      }
    }
  }

  /** The same node with its certificate in a second process, or at another replica. */
  sameNode({ nodeId, issued }: WorkNode, at: HasPlacement = this): WorkNode {
    const node = new WorkNode(at, nodeId, issued);
    this.#nodes.push(node);
    return node;
  }

  /** The same node under a new key. */
  async renewedNode({ nodeId }: WorkNode): Promise<WorkNode> {
    const node = new WorkNode(this, nodeId, await this.authority.node(nodeId));
    this.#nodes.push(node);
    return node;
  }

  /** A live node with a certificate, its Work stream not open yet. */
  async node(at: HasPlacement = this): Promise<WorkNode> {
    const nodeId = makeId('n', randomBytes);
    const issued = await this.authority.node(nodeId);
    await this.store.transaction((em) =>
      insertNode(em, { nodeId, accountId: `acct_${nodeId}` }, boundOf(issued)),
    );
    this.fleet.live.add(nodeId);
    const node = new WorkNode(at, nodeId, issued);
    this.#nodes.push(node);
    return node;
  }

  /** Some replica accepted a beat of the node just now. */
  async heard(nodeId: string): Promise<void> {
    await this.store.transaction((em) =>
      query(
        em,
        `update node set last_beat_ms = gap_junction_now_ms(), lost_period_ms = $2::bigint, lost_ms = null
          where node_id = $1`,
        [nodeId, LOST_PERIOD_MS],
      ),
    );
  }

  ledgerSum(): Promise<bigint> {
    return this.store.read(ledgerSum);
  }
}

/** Whatever nodes may be connected to. */
export interface HasPlacement {
  readonly placement: Placement;
}

export interface Replica extends HasPlacement {
  readonly clock: ReplicaClock;
}

/** Short delays pass by themselves; what is done every second or so is done by `passTime`. */
export class ReplicaClock implements Clock {
  #standstillMs = 0;

  now(): number {
    return systemClock.now() + this.#standstillMs;
  }

  after(delayMs: number, task: () => void): () => void {
    return systemClock.after(delayMs, task);
  }

  every(): () => void {
    return () => {};
  }

  /** As after a SIGSTOP and, so much later, a SIGCONT. */
  standStill(ms: number): void {
    this.#standstillMs += ms;
  }
}

function boundOf({ certificate }: IssuedCertificate): BoundCertificate {
  return {
    keyId: keyIdOf(certificate.publicKey) ?? new Uint8Array(),
    certificate: certificate.raw,
    issuerCertificate: certificate.raw,
    serial: serialHex(certificate.serialNumber),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** The fleet as a test says that it is. */
export class TestFleet {
  readonly live = new Set<string>();
  readonly #lost = new Set<(nodeId: string) => Promise<void>>();
  readonly #revoked = new Set<(nodeId: string) => Promise<void>>();
  readonly #beats = new Set<(nodeId: string, beat: { attemptIds: readonly string[] }) => void>();

  mayTakeWork = (nodeId: string): boolean => this.live.has(nodeId);
  workingNodes = (): readonly string[] => [...this.live];
  isLive = (nodeId: string): boolean => this.live.has(nodeId);
  onLost = (listener: (nodeId: string) => Promise<void>) => subscribe(this.#lost, listener);
  onRevoked = (listener: (nodeId: string) => Promise<void>) => subscribe(this.#revoked, listener);
  onBeat = (listener: (nodeId: string, beat: { attemptIds: readonly string[] }) => void) =>
    subscribe(this.#beats, listener);

  async lose(nodeId: string): Promise<void> {
    this.live.delete(nodeId);
    await Promise.all([...this.#lost].map((listener) => listener(nodeId)));
  }

  async revoke(nodeId: string): Promise<void> {
    this.live.delete(nodeId);
    await Promise.all([...this.#revoked].map((listener) => listener(nodeId)));
  }

  beat(nodeId: string, attemptIds: readonly string[]): void {
    for (const listener of this.#beats) listener(nodeId, { attemptIds });
  }
}

function signerUnder({ signer, chain }: IssuedCertificate): Signer {
  return { keyId: signer.keyId, chain, sign: async (bytes) => signer.sign(bytes) };
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export class WorkNode extends ScriptedNode {
  readonly nodeId: string;
  readonly issued: IssuedCertificate;
  readonly serial: string;
  /** Adds to the logs of an attempt; answers where the next piece begins. */
  readonly appendLogs: (attemptId: string, offset: number, text: string) => Promise<bigint>;
  /** A Work stream as it likes, beside the one of `connect`. */
  readonly openWork: DispatchCalls['work'];

  constructor(at: HasPlacement, nodeId: string, issued: IssuedCertificate) {
    const caller = nodeCaller(nodeId, issued);
    const dispatch = () =>
      at.placement.service.handlers as unknown as Handlers<typeof DispatchService>;
    const work: DispatchCalls['work'] = (requests) => dispatch().work(requests, contextOf(caller));
    super(
      {
        work,
        complete: (request) => dispatch().complete(request, contextOf(caller)),
      },
      issued.signer,
    );
    this.openWork = work;
    this.appendLogs = async (attemptId, offset, text) => {
      const request = {
        attemptId,
        offsetBytes: BigInt(offset),
        chunk: Buffer.from(text, 'latin1'),
      };
      const { nextOffsetBytes } = await dispatch().appendLogs(
        create(AppendLogsRequestSchema, request),
        contextOf(caller),
      );
      return nextOffsetBytes ?? 0n;
    };
    this.nodeId = nodeId;
    this.issued = issued;
    this.serial = caller.serial;
  }
}

export function nodeCaller(nodeId: string, issued: IssuedCertificate): CallerOf<'node'> {
  return {
    kind: 'node',
    nodeId,
    serial: serialHex(issued.certificate.serialNumber),
    keyId: keyIdOf(issued.certificate.publicKey) ?? new Uint8Array(),
    expiresAtMs: issued.certificate.validToDate.getTime(),
    chain: issued.chain,
  };
}

export class TestClient {
  readonly clientId: string;
  readonly context: CallContext;
  readonly #world: WorkWorld;
  #requests = 0;

  constructor(world: WorkWorld, clientId: string) {
    this.#world = world;
    this.clientId = clientId;
    this.context = contextOf({
      kind: 'client',
      clientId,
      serial: '01',
      keyId: new Uint8Array(32),
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      chain: [],
    });
  }

  /** Uploads bytes; answers their digest. */
  async upload(bytes: Uint8Array): Promise<Uint8Array> {
    const { blobs, store } = this.#world;
    const { digest } = await store.transaction((em) =>
      blobs.put(em, { holder: clientHolder(this.clientId), bytes }),
    );
    return digest;
  }

  async register(bytes: Uint8Array = EMPTY_PROGRAM): Promise<Uint8Array> {
    const digest = await this.upload(bytes);
    await this.#world.jobs.registerModule({ digest } as never, this.context);
    return digest;
  }

  /** Submits the empty program, registered first, but for the changes. */
  async submit(
    spec: MessageInitShape<typeof JobSpecSchema> = {},
    requestId = `request-${++this.#requests}`,
  ): Promise<JobMessage & { jobId: string }> {
    const moduleDigest = spec.moduleDigest ?? (await this.register());
    const request = create(SubmitJobRequestSchema, { requestId, spec: { ...spec, moduleDigest } });
    const { job } = await this.#world.jobs.submitJob(request, this.context);
    return job as JobMessage & { jobId: string };
  }

  async job(jobId: string): Promise<JobMessage> {
    const request = create(GetJobRequestSchema, { jobId });
    const { job } = await this.#world.jobs.getJob(request, this.context);
    return job as JobMessage;
  }

  watch(jobId: string, afterRevision = 0n): AsyncIterable<WatchMessage> {
    const request = create(WatchJobRequestSchema, { jobId, afterRevision });
    return this.#world.jobs.watchJob(request, this.context);
  }

  tailLogs(
    jobId: string,
    from: MessageInitShape<typeof TailLogsRequestSchema> = {},
    signal = this.context.signal,
  ): AsyncIterable<LogMessage> {
    const request = create(TailLogsRequestSchema, { ...from, jobId });
    return this.#world.jobs.tailLogs(request, { ...this.context, signal });
  }

  /** All of the logs that are there. */
  async logs(jobId: string, attemptId = ''): Promise<string> {
    const messages = await Array.fromAsync(this.tailLogs(jobId, { attemptId, noFollow: true }));
    return Buffer.concat(messages.map(({ chunk }) => chunk ?? Buffer.of())).toString('latin1');
  }

  /** Watches to the end; answers the last message. */
  async outcome(jobId: string): Promise<WatchMessage> {
    let last: WatchMessage = {};
    for await (const message of this.watch(jobId)) last = message;
    return last;
  }

  /** Watches until the job is as asked for. */
  async until(jobId: string, isSo: (job: JobMessage) => boolean): Promise<JobMessage> {
    for await (const { job } of this.watch(jobId)) if (job && isSo(job)) return job;
    throw new Error(`watching '${jobId}': it ended without becoming so`);
  }

  balance() {
    return this.#world.store.read((em) => balanceOf(em, this.clientId));
  }
}

/** Why the job's attempts failed, first to last. */
export function failuresOf(job: JobMessage | undefined): readonly string[] {
  return (job?.attempts ?? []).flatMap(({ failure }) => (failure ? [failure] : []));
}

export function earnings(world: WorkWorld, node: WorkNode) {
  return world.store.read((em) => earningsOf(em, node.nodeId));
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
