// A whole system of real processes for one story: what a test kills is what an owner's machine kills.
import { randomUUID, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';

import { BillingService, EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import type { Bill } from '#gen/gapjunction/job/v1/bill_pb';
import {
  AttemptState,
  JobService,
  JobState,
  type Job,
  type JobSpecSchema,
  type Module,
} from '#gen/gapjunction/job/v1/job_pb';

import { openFolder } from '../../agent/folder.ts';
import { openIdentity } from '../../agent/identity/identity.ts';
import { certificatesPem } from '../../cli/admin/certificate-request.ts';
import { downloadBlob } from '../../cli/blobs.ts';
import { openConnection, type Connection } from '../../cli/connection.ts';
import {
  enrolAgent,
  openClient,
  runAgent,
  startControlPlane,
  stopControlPlane,
  type ControlPlane,
  type EnrolledAgent,
  type LocalClient,
} from '../../cli/local-system.ts';
import type { LocalReplica } from '../../cli/local-replica.ts';
import { pushModule } from '../../cli/module/push.ts';
import type { Program } from '../../cli/processes.ts';
import { sandboxReplay } from '../../cli/replay.ts';
import { untilThere, type RetryOptions } from '../../cli/retry.ts';
import { verifyBill } from '../../protocol/bill/verify.ts';
import { systemClock } from '../../server/clock.ts';
import { ledgerSum } from '../../server/ledger/ledger-store.ts';
import type { StoreLocation } from '../../server/store/location.ts';
import { openStore } from '../../server/store/open.ts';
import { quietPorts } from '../fakes/quiet-ports.ts';
import { storeTemplate } from '../fakes/store-template.ts';

/**
 * A node that was killed is missed in 8 s: longer than an agent with a lease waits at most (5 s) before it
 * connects again, so that one whose control plane was away is not lost.
 */
const serverArgs = ({ heartbeatIntervalMs = 500, lostAfterIntervals = 16 }: LocalWorldOptions) => [
  `--heartbeat-interval-ms=${heartbeatIntervalMs}`,
  `--lost-after-intervals=${lostAfterIntervals}`,
];

export interface EndedJob {
  readonly job: Job;
  readonly bill: Bill | undefined;
}

type Spec = Omit<MessageInitShape<typeof JobSpecSchema>, '$typeName' | 'moduleDigest'>;

export interface LocalWorldOptions {
  /** A fresh PostgreSQL database by URL; PGlite otherwise. */
  readonly databaseUrl?: string;
  readonly redisUrl?: string;
  /** Servers over the one database and Redis, which they then need. Default 1. */
  readonly replicas?: number;
  /** Default 500: a node that was killed is missed soon. */
  readonly heartbeatIntervalMs?: number;
  /** Default 16; agents stop their guests after 4 in any case. */
  readonly lostAfterIntervals?: number;
}

export class LocalWorld {
  readonly #folder: string;
  readonly #options: LocalWorldOptions;
  readonly #client: LocalClient;
  readonly #connections: Connection[] = [];
  readonly #agents: Program[] = [];
  readonly #pushed = new Map<Uint8Array, Promise<Module>>();
  readonly #controlPlane: ControlPlane;
  #asClient: Connection;

  private constructor(
    folder: string,
    options: LocalWorldOptions,
    controlPlane: ControlPlane,
    client: LocalClient,
  ) {
    this.#folder = folder;
    this.#options = options;
    this.#controlPlane = controlPlane;
    this.#client = client;
    this.#asClient = this.#connect(client);
  }

  static async start(options: LocalWorldOptions = {}): Promise<LocalWorld> {
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-flow-'));
    // The first start of PGlite takes seconds and is not what is tried here.
    const store = await openStore(storeOf(folder, options), {
      clock: systemClock,
      exclusive: true,
      template: await storeTemplate(),
    });
    await store.close();
    const [port = 0, ...morePorts] = await quietPorts(options.replicas ?? 1);
    const controlPlane = await startControlPlane({
      dataDir: folder,
      port,
      morePorts,
      serverArgs: serverArgs(options),
      serverEnvironment: environmentOf(options),
    });
    const dataDir = join(folder, 'client');
    const client = await openClient(controlPlane, { dataDir, name: 'A client' });
    return new LocalWorld(folder, options, controlPlane, client);
  }

  /** Enrols a machine for an account of its own. */
  async enrol(accountName: string): Promise<EnrolledAgent> {
    const dataDir = join(this.#folder, accountName);
    return enrolAgent(this.#controlPlane, { dataDir, accountName });
  }

  /** `address` in place of those of all replicas: with commas. */
  async run(
    { dataDir }: EnrolledAgent,
    slots = 1,
    address = this.#controlPlane.address,
  ): Promise<Program> {
    const agent = await runAgent({ address }, { dataDir, slots });
    this.#agents.push(agent);
    return agent;
  }

  async submit(
    module: Uint8Array,
    spec: Spec = {},
    retries: Partial<RetryOptions> = {},
  ): Promise<string> {
    const pushed = this.#pushed.get(module) ?? pushModule(this.#asClient, module);
    this.#pushed.set(module, pushed);
    const moduleDigest = (await pushed).blob?.digest ?? new Uint8Array();
    const request = { requestId: randomUUID(), spec: { ...spec, moduleDigest } };
    const { job } = await untilThere(
      () => this.#asClient.client(JobService).submitJob(request),
      retries,
    );
    return job?.jobId ?? '';
  }

  /** The control plane's data folder. */
  get serverFolder(): string {
    return join(this.#folder, 'server');
  }

  /** For the command, run as the client. */
  get clientEnvironment(): Record<string, string> {
    const { address, ca } = this.#controlPlane;
    return { GJ_ADDRESS: address, GJ_CA: ca, GJ_CERT: this.#client.cert, GJ_KEY: this.#client.key };
  }

  async cancel(jobId: string): Promise<void> {
    await this.#asClient.client(JobService).cancelJob({ jobId });
  }

  /** Watches the job to its end and bill. */
  async watch(jobId: string): Promise<EndedJob> {
    let last: EndedJob | undefined;
    for await (const { job, bill } of this.#asClient.client(JobService).watchJob({ jobId })) {
      if (job !== undefined) last = { job, bill };
    }
    if (last?.job.state !== JobState.ENDED) throw new Error(`The job '${jobId}' did not end`);
    return last;
  }

  /** Waits until a node has said that it has the job's order, and that is written. */
  async acknowledged(jobId: string): Promise<void> {
    for await (const { job } of this.#asClient.client(JobService).watchJob({ jobId })) {
      if (job?.attempts.at(-1)?.state === AttemptState.ACKNOWLEDGED) return;
    }
    throw new Error(`The job '${jobId}' ended before its order was acknowledged`);
  }

  async outputOf({ job: { output } }: EndedJob): Promise<Uint8Array> {
    if (output === undefined) throw new Error('The job has no output');
    return downloadBlob(this.#asClient.client(BlobService), output);
  }

  /** Every check of the bill, with the job run again here. */
  async expectReplays(
    { bill }: EndedJob,
    files: { readonly module: Uint8Array; readonly input: Uint8Array },
  ): Promise<void> {
    if (bill === undefined) throw new Error('The job has no bill');
    const report = await verifyBill(bill, {
      rootCertificate: new X509Certificate(readFileSync(this.#controlPlane.ca)),
      replay: sandboxReplay(files),
    });
    expect(report.checks.filter(({ status }) => status !== 'ok')).to.deep.equal([]);
    expect(report.ok).to.equal(true);
  }

  async balance() {
    return this.#asClient.client(BillingService).getBalance({});
  }

  /** What the node was paid, as it sees it. */
  async earnings({ dataDir }: EnrolledAgent) {
    const { chain, key } = openIdentity(openFolder(dataDir));
    const connection = this.#track(
      openConnection(this.#controlPlane.address, {
        ca: readFileSync(this.#controlPlane.ca),
        cert: certificatesPem(chain),
        key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      }),
    );
    return connection.client(EarningsService).getEarnings({});
  }

  /** Kills the control plane, all of it, without a word and starts it again where it was. */
  async killAndRestartServer(): Promise<void> {
    const all = this.#controlPlane.replicas.map((_, index) => index);
    await Promise.all(all.map((index) => this.killReplica(index)));
    await Promise.all(all.map((index) => this.restartReplica(index)));
    this.#asClient = this.#connect(this.#client);
  }

  /** Ends a replica without a word; its address stays among those that everybody knows. */
  async killReplica(index: number): Promise<void> {
    await this.#replica(index).program.stop('SIGKILL');
  }

  /** The replica answers nothing and closes nothing until it is continued. */
  pauseServer(index = 0): void {
    process.kill(this.#replica(index).program.pid, 'SIGSTOP');
  }

  continueServer(index = 0): void {
    process.kill(this.#replica(index).program.pid, 'SIGCONT');
  }

  /** Lets a replica end as an operator does. */
  async stopReplica(index: number): Promise<void> {
    await this.#replica(index).program.stop();
  }

  /** Starts a replica that has ended again, where it was, and waits until it serves. */
  async restartReplica(index: number): Promise<void> {
    this.#replica(index).restart();
    await this.#replica(index).ready();
  }

  /** How many replicas have not ended. */
  get runningReplicas(): number {
    return this.#controlPlane.replicas.filter(({ program }) => program.running).length;
  }

  /** Where that replica is, as an agent says it: `host:port`. */
  addressOf(index: number): string {
    return this.#controlPlane.address.split(',')[index] ?? '';
  }

  #replica(index: number): LocalReplica {
    const replica = this.#controlPlane.replicas[index];
    if (replica === undefined) throw new RangeError(`There is no replica ${index}`);
    return replica;
  }

  /** Ends every program and answers the sum over all postings of the books that are left. */
  async stopAndSumBooks(): Promise<bigint> {
    await this.#stopPrograms();
    const store = await openStore(storeOf(this.#folder, this.#options), {
      clock: systemClock,
      exclusive: true,
    });
    try {
      return await store.read((em) => ledgerSum(em));
    } finally {
      await store.close();
    }
  }

  /** Ends every program without a word: after a test that failed, some stand still or wait for others. */
  async dispose(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.close();
    const { replicas, simulator } = this.#controlPlane;
    const programs = [...this.#agents, ...replicas.map(({ program }) => program), simulator];
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #stopPrograms(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.close();
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await stopControlPlane(this.#controlPlane);
  }

  #connect({ cert, key }: LocalClient): Connection {
    const { address, ca } = this.#controlPlane;
    const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
    return this.#track(openConnection(address, files));
  }

  #track(connection: Connection): Connection {
    this.#connections.push(connection);
    return connection;
  }
}

function storeOf(folder: string, { databaseUrl }: LocalWorldOptions): StoreLocation {
  return databaseUrl === undefined
    ? { kind: 'folder', path: join(folder, 'server') }
    : { kind: 'postgresql', url: databaseUrl };
}

/** By the environment, since the URL of a database may hold a password. */
function environmentOf({ databaseUrl, redisUrl }: LocalWorldOptions): Record<string, string> {
  return {
    ...(databaseUrl !== undefined && { GJ_DATABASE_URL: databaseUrl }),
    ...(redisUrl !== undefined && { GJ_REDIS_URL: redisUrl }),
  };
}
