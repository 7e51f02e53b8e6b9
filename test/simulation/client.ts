// A client that wants its jobs done, whatever happens: it asks again under the same request id, at another
// replica, and watches on from the last revision that it saw.
import { createHash } from 'node:crypto';
import type { DescService } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Client } from '@connectrpc/connect';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { Grant, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import type { CallerOf } from '../../server/rpc/service.ts';
import { SimulatedConnection, type Wiring } from './connection.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';
import { transportOver } from './transport.ts';

export interface ClientOptions {
  readonly process: Process;
  readonly random: SeededRandom;
  readonly wiring: Wiring;
  readonly clientId: string;
  readonly addresses: readonly string[];
  readonly jobs: number;
  /** Jobs are submitted within so many milliseconds. */
  readonly withinMs: number;
  /** How many outputs are fetched and acknowledged. */
  readonly acknowledgedShare: number;
}

/** What the client was told of a job. */
export interface ClientJob {
  readonly requestId: string;
  readonly input: Uint8Array;
  readonly debugLogs: boolean;
  /** Known once the job was acknowledged. */
  jobId: string | null;
  /** The last that was seen of it; its revisions never go back. */
  last: Job | null;
  bill: Bill | null;
  /** Its output was acknowledged: nothing of input and output may be left. */
  isAcknowledged: boolean;
  isOver: boolean;
}

/** Exports `_start`, which does nothing, and a memory of one page. */
export const EMPTY_PROGRAM = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02,
  0x01, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x0a, 0x01, 0x06, 0x5f, 0x73, 0x74, 0x61, 0x72,
  0x74, 0x00, 0x00, 0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b,
]);

const CANCELLED_SHARE = 0.15;
const TIMEOUT_SHARE = 0.1;
const DEBUG_SHARE = 0.2;
const LONGEST_RETRY_MS = 2_000;
/** Less than the guests' memory: a limit that every simulated agent takes. */
export const LIMITS = {
  fuel: 2_000_000n,
  deadlineEpochs: 500,
  memoryBytes: 1n << 20n,
  outputBytes: 4_096n,
};

export class SimulatedClient {
  readonly clientId: string;
  readonly jobs: ClientJob[] = [];
  /** What a client must never see. */
  readonly complaints: string[] = [];
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.clientId = options.clientId;
    const { random, jobs } = options;
    for (let number = 1; number <= jobs; number++) {
      this.jobs.push({
        requestId: `request-${number}`,
        input: random.bytes(random.between(0, 64)),
        debugLogs: random.chance(DEBUG_SHARE),
        jobId: null,
        last: null,
        bill: null,
        isAcknowledged: false,
        isOver: false,
      });
    }
  }

  async run(): Promise<void> {
    const { random, withinMs } = this.#options;
    const moduleDigest = await this.#registerModule();
    await Promise.all(
      this.jobs.map(async (job) => {
        await this.#pause(random.between(0, withinMs));
        await this.#carryOut(job, moduleDigest);
      }),
    );
  }

  async #registerModule(): Promise<Uint8Array> {
    const digest = sha256(EMPTY_PROGRAM);
    await this.#untilDone('upload', BlobService, async (client) => {
      const { complete } = await client.getUploadOffset({ digest });
      if (!complete) await client.upload(upload(digest, EMPTY_PROGRAM));
    });
    await this.#untilDone('register', JobService, (client) => client.registerModule({ digest }));
    return digest;
  }

  async #carryOut(job: ClientJob, moduleDigest: Uint8Array): Promise<void> {
    const { random } = this.#options;
    const spec = {
      moduleDigest,
      input: { case: 'inlineInput', value: job.input },
      limits: LIMITS,
      grants: job.debugLogs ? [Grant.DEBUG_LOGS] : [],
      ...this.#timeouts(),
    } as const;
    const submitted = await this.#untilDone('submit', JobService, (client) =>
      client.submitJob({ requestId: job.requestId, spec }),
    );
    this.#saw(job, submitted.job);
    const { jobId } = submitted.job ?? { jobId: '' };
    job.jobId = jobId;
    if (random.chance(CANCELLED_SHARE)) {
      await this.#pause(random.between(0, 10_000));
      await this.#untilDone('cancel', JobService, (client) => client.cancelJob({ jobId }));
    }
    do await this.#watch(job, jobId);
    while (job.last?.state !== JobState.ENDED);
    if (job.debugLogs && job.bill !== null) await this.#readLogs(job.bill, jobId);
    if (random.chance(this.#options.acknowledgedShare)) await this.#acknowledge(job, jobId);
    job.isOver = true;
  }

  /** The logs are those that the receipt has the digest of. */
  async #readLogs({ receipt }: Bill, jobId: string): Promise<void> {
    const { logDigest } = decodeReceipt(receipt?.payload ?? new Uint8Array());
    await this.#untilDone('tail', JobService, async (client) => {
      const chunks: Uint8Array[] = [];
      for await (const { chunk } of client.tailLogs({ jobId })) chunks.push(chunk);
      if (Buffer.compare(sha256(Buffer.concat(chunks)), logDigest) !== 0) {
        this.complaints.push(`the logs of '${jobId}' are not those of its receipt`);
      }
    });
  }

  #timeouts(): { queueTimeoutMs?: bigint; totalTimeoutMs?: bigint } {
    const { random } = this.#options;
    const timeoutMs = (longest: number) => BigInt(random.between(1_000, longest));
    return {
      ...(random.chance(TIMEOUT_SHARE) && { queueTimeoutMs: timeoutMs(10_000) }),
      ...(random.chance(TIMEOUT_SHARE) && { totalTimeoutMs: timeoutMs(30_000) }),
    };
  }

  /** Fetches the output, and is done with it. */
  async #acknowledge(job: ClientJob, jobId: string): Promise<void> {
    const output = job.last?.output;
    if (output !== undefined && output.sizeBytes > 0n) {
      await this.#untilDone('download', BlobService, async (client) => {
        const chunks: Uint8Array[] = [];
        for await (const { chunk } of client.download({ digest: output.digest }))
          chunks.push(chunk);
        if (Buffer.compare(sha256(Buffer.concat(chunks)), output.digest) !== 0) {
          this.complaints.push(`the output of '${jobId}' has another digest`);
        }
      });
    }
    await this.#untilDone('acknowledge', JobService, (client) =>
      client.acknowledgeOutput({ jobId }),
    );
    job.isAcknowledged = true;
  }

  async #watch(job: ClientJob, jobId: string): Promise<void> {
    await this.#untilDone('watch', JobService, async (client) => {
      const afterRevision = job.last?.revision ?? 0n;
      for await (const { job: seen, bill } of client.watchJob({ jobId, afterRevision })) {
        this.#saw(job, seen);
        if (bill !== undefined) job.bill = bill;
      }
    });
  }

  #saw(job: ClientJob, seen: Job | undefined): void {
    if (seen === undefined) return;
    const { last } = job;
    if (last !== null && seen.jobId !== last.jobId) {
      this.complaints.push(`'${job.requestId}' was '${last.jobId}' and is '${seen.jobId}'`);
    }
    if (last?.state === JobState.ENDED && seen.state !== JobState.ENDED) {
      this.complaints.push(`'${seen.jobId}' had ended, and is not over any more`);
    }
    if (last === null || seen.revision >= last.revision) job.last = seen;
  }

  /** Asks until it is answered, each time at some replica. A refusal is not to be expected here. */
  async #untilDone<S extends DescService, Result>(
    doing: string,
    service: S,
    call: (client: Client<S>) => Promise<Result>,
  ): Promise<Result> {
    const { process, wiring, clientId, addresses, random } = this.#options;
    for (;;) {
      const connection = new SimulatedConnection(wiring, {
        client: process,
        caller: callerOf(clientId),
        address: random.pick(addresses),
      });
      try {
        return await call(createClient(service, transportOver(connection)));
      } catch (error) {
        if (!mayPass(error)) {
          this.complaints.push(`${doing}: ${String(error)}`);
          throw error;
        }
        await this.#pause(random.between(1, LONGEST_RETRY_MS));
      } finally {
        connection.close();
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.process.clock.after(delayMs, resolve);
    });
  }
}

async function* upload(digest: Uint8Array, bytes: Uint8Array) {
  const start = { digest, sizeBytes: BigInt(bytes.length), offset: 0n, attemptId: '' };
  yield { kind: { case: 'start', value: start } } as const;
  yield { kind: { case: 'chunk', value: bytes } } as const;
}

/** INTERNAL too: so a replica answers whose database went away. */
const PASSING: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Canceled,
  Code.Aborted,
  Code.Internal,
  Code.ResourceExhausted,
]);

function mayPass(error: unknown): boolean {
  return error instanceof ConnectError && PASSING.has(error.code);
}

function callerOf(clientId: string): CallerOf<'client'> {
  return {
    kind: 'client',
    clientId,
    serial: '01',
    keyId: new Uint8Array(32),
    expiresAtMs: Number.MAX_SAFE_INTEGER,
    chain: [],
  };
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
