// A client that does with its blobs and jobs what clients may do, in any order.
import { clientHolder } from '../../../server/blobs/blob.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { type BlobWorld, cut, digestOf, fresh, freshBytes, LIMITS, sent } from './blob-world.ts';

/** What was touched in this very millisecond is stale. */
const NO_TIME_MS = -1;

export interface Step {
  readonly blob: number;
  readonly otherBlob: number;
  readonly job: number;
}

interface Job {
  readonly jobId: string;
  readonly attemptId: string;
  readonly module: Uint8Array;
  readonly input: Uint8Array;
  hasEnded: boolean;
}

/** Of each place: a row, contents of a few chunks, and more than the least that is counted. */
export const freshContents = () => [
  freshBytes(LIMITS.maxRowBytes),
  freshBytes(100),
  freshBytes(5000),
];

export class SharingClient {
  readonly clientId = fresh('c');
  readonly #uploader = clientHolder(this.clientId);
  readonly #world: BlobWorld;
  readonly #contents: readonly Uint8Array[];
  readonly #jobs: Job[] = [];

  constructor(world: BlobWorld, contents: readonly Uint8Array[]) {
    this.#world = world;
    this.#contents = contents;
  }

  upload = ({ blob }: Step) => {
    const bytes = this.#contents[blob]!;
    return this.#world.upload(this.#uploader, bytes, sent(bytes));
  };

  uploadPart = ({ blob }: Step) => {
    const bytes = this.#contents[blob]!;
    return this.#world.upload(this.#uploader, bytes, cut(bytes.subarray(0, LIMITS.chunkBytes + 1)));
  };

  keepModule = ({ blob }: Step) =>
    this.#transact((em) =>
      this.#world.blobs.keepModule(em, {
        clientId: this.clientId,
        digest: digestOf(this.#contents[blob]!),
      }),
    );

  submit = ({ blob, otherBlob }: Step) => {
    const input = digestOf(this.#contents[otherBlob]!);
    return this.#submit(digestOf(this.#contents[blob]!), input, async (em, { jobId, module }) => {
      if (blob !== otherBlob) {
        await this.#world.blobs.claimUpload(em, { clientId: this.clientId, jobId, digest: input });
      }
      await this.#world.blobs.useBlobs(em, {
        holder: this.#holder('job', jobId),
        digests: [module, input],
      });
    });
  };

  submitInline = ({ blob }: Step) => {
    const bytes = this.#contents[0]!;
    return this.#submit(
      digestOf(this.#contents[blob]!),
      digestOf(bytes),
      async (em, { jobId, module }) => {
        const holder = this.#holder('job', jobId);
        await this.#world.blobs.useBlobs(em, { holder, digests: [module] });
        await this.#world.blobs.put(em, { holder, bytes });
      },
    );
  };

  cancel = (step: Step) => this.#onOpen(step, (em, job) => this.#end(em, job));

  uploadOutput = async (step: Step) => {
    const job = this.#job(step);
    if (job === undefined || job.hasEnded) return;
    const bytes = this.#contents[step.blob]!;
    const attempt = { kind: 'attempt', id: job.attemptId, clientId: this.clientId } as const;
    await this.#world.upload(attempt, bytes, sent(bytes));
  };

  complete = (step: Step) =>
    this.#onOpen(step, async (em, job) => {
      await this.#world.blobs.claimOutput(em, {
        clientId: this.clientId,
        attemptId: job.attemptId,
        jobId: job.jobId,
        digest: digestOf(this.#contents[step.blob]!),
      });
      await this.#end(em, job);
    });

  completeInline = (step: Step) =>
    this.#onOpen(step, async (em, job) => {
      const holder = this.#holder('output', job.jobId);
      await this.#world.blobs.put(em, { holder, bytes: this.#contents[0]! });
      await this.#end(em, job);
    });

  acknowledge = async (step: Step) => {
    const job = this.#job(step);
    if (job === undefined || !job.hasEnded) return;
    const { jobId, attemptId } = job;
    const digests = this.#contents.map(digestOf);
    await this.#transact((em) =>
      this.#world.blobs.giveUpLeft(em, [
        { jobId, clientId: this.clientId, digests, attemptIds: [attemptId] },
      ]),
    );
  };

  delete = ({ blob }: Step) =>
    this.#world.blobs.delete({
      clientId: this.clientId,
      digest: digestOf(this.#contents[blob]!),
    });

  sweep = () => this.#world.blobs.sweep();

  passTime = async () => {
    this.#world.restart({ partialUploadMs: NO_TIME_MS, unnamedUploadMs: NO_TIME_MS });
    await this.#world.blobs.sweep();
    this.#world.restart();
  };

  async #submit(
    module: Uint8Array,
    input: Uint8Array,
    use: (em: EntityManager, job: Job) => Promise<void>,
  ): Promise<void> {
    const job = { jobId: fresh('j'), attemptId: fresh('a'), module, input, hasEnded: false };
    await this.#transact((em) => use(em, job));
    this.#jobs.push(job);
  }

  /** Once: its row is locked by whoever ends it. */
  async #onOpen(step: Step, work: (em: EntityManager, job: Job) => Promise<void>): Promise<void> {
    const job = this.#job(step);
    if (job === undefined || job.hasEnded) return;
    job.hasEnded = true;
    await this.#transact((em) => work(em, job));
  }

  #end(em: EntityManager, { jobId, module, input }: Job): Promise<void> {
    return this.#world.blobs.endJob(em, { jobId, clientId: this.clientId, module, input });
  }

  #job({ job }: Step): Job | undefined {
    return this.#jobs[job % Math.max(1, this.#jobs.length)];
  }

  #holder<Kind extends 'job' | 'output'>(kind: Kind, id: string) {
    return { kind, id, clientId: this.clientId };
  }

  #transact(work: (em: EntityManager) => Promise<unknown>): Promise<unknown> {
    return this.#world.store().transaction(work);
  }
}
