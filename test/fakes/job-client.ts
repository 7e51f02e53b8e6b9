// A client with a balance who runs small guests over the contract, written in the text format.
import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import wabt from 'wabt';

import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { Entry, type Bill, type Grant, type LimitsSchema } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import { downloadBlob, uploadBlob } from '../../cli/blobs.ts';
import type { ControlPlane, Identity } from './control-plane.ts';

const IMPORTS = `
  (import "gap_junction" "input_size" (func $size (result i32)))
  (import "gap_junction" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $write (param i32 i32)))`;

/** Does nothing, and succeeds. */
export const NOTHING = '(module (func (export "run")))';

/** Never ends by itself. */
export const ENDLESS = '(module (func (export "run") (loop (br 0))))';

/** Gives its input, at most 64 KiB, in reverse. */
export const REVERSE = `(module ${IMPORTS}
  (memory (export "memory") 2)
  (func (export "run") (local $length i32) (local $at i32)
    (local.set $length (call $size))
    (drop (call $read (i32.const 0) (i32.const 0) (local.get $length)))
    (block (loop
      (br_if 1 (i32.ge_u (local.get $at) (local.get $length)))
      (i32.store8 offset=65535
        (i32.sub (local.get $length) (local.get $at))
        (i32.load8_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br 0)))
    (call $write (i32.const 65536) (local.get $length))))`;

/** Gives two MiB of zeroes: more than goes with a receipt. */
export const LONG_OUTPUT = `(module ${IMPORTS}
  (memory (export "memory") 32)
  (func (export "run") (call $write (i32.const 0) (i32.const 2097152))))`;

/** Burns some 10^8 fuel: a good part of a second. */
export const BUSY = `(module
  (func (export "run") (local $left i32)
    (local.set $left (i32.const 20000000))
    (loop
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))`;

export async function wasmOf(text: string): Promise<Uint8Array> {
  const module = (await wabt()).parseWat('guest.wat', text);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

export interface JobOptions {
  readonly input?: Uint8Array;
  readonly grants?: Grant[];
  readonly limits?: MessageInitShape<typeof LimitsSchema> & { readonly $typeName?: never };
}

export class ClientOfJobs {
  readonly jobs: Client<typeof JobService>;
  readonly blobs: Client<typeof BlobService>;
  readonly #modules = new Map<string, Promise<Uint8Array>>();

  private constructor(controlPlane: ControlPlane, identity: Identity) {
    this.jobs = controlPlane.clientFor(JobService, identity);
    this.blobs = controlPlane.clientFor(BlobService, identity);
  }

  /** A new client with ten dollars. */
  static async open(controlPlane: ControlPlane): Promise<ClientOfJobs> {
    const identity = await controlPlane.newClient('A client');
    await controlPlane.clientFor(ClientAdminService, controlPlane.operator).creditClient({
      requestId: randomUUID(),
      clientId: identity.id,
      amountMicrocents: 1_000_000_000n,
    });
    return new ClientOfJobs(controlPlane, identity);
  }

  /** Submits a job of the module in this text; answers its id. */
  async submit(
    text: string,
    { input = new Uint8Array(), grants = [], limits = {} }: JobOptions = {},
  ) {
    return this.submitModule(await this.#module(text), { input, grants, limits });
  }

  /** Submits a job of a registered module; answers its id. */
  async submitModule(
    moduleDigest: Uint8Array,
    { input = new Uint8Array(), grants = [], limits = {} }: JobOptions = {},
  ) {
    const { job } = await this.jobs.submitJob({
      requestId: randomUUID(),
      spec: {
        moduleDigest,
        input: { case: 'inlineInput', value: input },
        entry: Entry.RUN,
        grants,
        limits: { outputBytes: 4n * 2n ** 20n, ...limits },
      },
    });
    if (job === undefined) throw new Error('Submitting a job answered none');
    return job.jobId;
  }

  /** Waits until `isReached` says so of the job, or it has ended; answers it then, with its bill. */
  async watch(
    jobId: string,
    isReached: (job: Job) => boolean = () => false,
  ): Promise<{ job: Job; bill: Bill | undefined }> {
    const stop = new AbortController();
    try {
      for await (const { job, bill } of this.jobs.watchJob({ jobId }, { signal: stop.signal })) {
        if (job !== undefined && (job.state === JobState.ENDED || isReached(job))) {
          return { job, bill };
        }
      }
    } finally {
      stop.abort();
    }
    throw new Error(`Watching the job '${jobId}' ended before it did`);
  }

  async run(text: string, options: JobOptions = {}): Promise<Job> {
    return (await this.watch(await this.submit(text, options))).job;
  }

  async outputOf({ output }: Job): Promise<Uint8Array> {
    if (output === undefined) throw new Error('The job has no output');
    return downloadBlob(this.blobs, output);
  }

  #module(text: string): Promise<Uint8Array> {
    const known = this.#modules.get(text);
    if (known !== undefined) return known;
    const registered = wasmOf(text).then((bytes) => this.register(bytes));
    this.#modules.set(text, registered);
    return registered;
  }

  /** Uploads a module and has it checked; answers its digest. */
  async register(bytes: Uint8Array): Promise<Uint8Array> {
    const digest = await uploadBlob(this.blobs, bytes);
    await this.jobs.registerModule({ digest });
    return digest;
  }
}
