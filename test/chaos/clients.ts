// Clients who submit at a steady rate, whatever is killed, and keep what was acknowledged: each call is
// repeated, at any replica, under the same request id until it is answered.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { Code, ConnectError, type Client } from '@connectrpc/connect';

import { JobService, JobState } from '#gen/gapjunction/job/v1/job_pb';

import type { Connection } from '../../cli/connection.ts';
import { pushModule } from '../../cli/module/push.ts';
import { isCut } from '../../cli/replicas.ts';
import { wasmOf } from '../fakes/job-client.ts';

/** Counts down from the number in its input, and succeeds: some 5 fuel for each. */
const COUNTDOWN = `(module
  (import "gap_junction" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $write (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "run") (local $left i32)
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 4)))
    (local.set $left (i32.load (i32.const 0)))
    (loop
      (br_if 0 (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 1))) (i32.const 0))))
    (call $write (i32.const 0) (i32.const 4))))`;

/** Most jobs are over at once; every tenth takes a part of a second alone and seconds among others, so that kills come in its middle. */
const SHORT_COUNT = 20_000;
const LONG_COUNT = 60_000_000;
const LONG_EVERY = 10;
const FUEL_LIMIT = 2_000_000_000n;
/** Every fifth job is watched to its end, through whatever dies meanwhile. */
const WATCH_EVERY = 5;

/** A replica that is overloaded answers late; then another is asked. */
const CALL_TIMEOUT_MS = 15_000;
const LEAST_RETRY_DELAY_MS = 250;
const MOST_RETRY_DELAY_MS = 2_000;
/** Calls that wait for an answer; above it, clients fall behind their rate rather than fill the memory. */
const MAX_WAITING = 500;

export interface Acknowledged {
  readonly jobId: string;
  readonly requestId: string;
}

export class Clients {
  readonly acknowledged: Acknowledged[] = [];
  /** Jobs whose watch ended with their end. */
  watchedToEnd = 0;
  watched = 0;
  /** Calls that were repeated. */
  retries = 0;
  readonly problems: string[] = [];
  readonly #connections: readonly Connection[];
  readonly #running = new Set<Promise<void>>();
  readonly #stop: AbortSignal;
  #moduleDigest: Uint8Array = new Uint8Array();

  /** `stop` ends all that they do, at once. */
  constructor(connections: readonly Connection[], stop: AbortSignal) {
    this.#connections = connections;
    this.#stop = stop;
  }

  /** Uploads the module that all of them run. */
  async prepare(): Promise<void> {
    const bytes = await wasmOf(COUNTDOWN);
    for (const connection of this.#connections) {
      const { blob } = await pushModule(connection, bytes);
      this.#moduleDigest = blob?.digest ?? this.#moduleDigest;
    }
  }

  /** Submits `rate` jobs a second for so long, and resolves when each call was answered. */
  async submitFor(seconds: number, rate: number): Promise<void> {
    const startMs = Date.now();
    const total = Math.round(seconds * rate);
    for (let number = 0; number < total && !this.#stop.aborted; number++) {
      const waitMs = startMs + (number * 1_000) / rate - Date.now();
      if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#stop }).catch(() => {});
      if (this.#running.size >= MAX_WAITING) await Promise.race(this.#running);
      const one: Promise<void> = this.#run(number)
        .catch((error: unknown) => this.#note(error))
        .finally(() => this.#running.delete(one));
      this.#running.add(one);
    }
    await Promise.all(this.#running);
  }

  async #run(number: number): Promise<void> {
    const connection = this.#connections[number % this.#connections.length];
    if (connection === undefined) throw new RangeError('There is no client');
    const jobs = connection.client(JobService);
    const jobId = await this.#submit(jobs, number);
    if (number % WATCH_EVERY !== 0) return;
    this.watched++;
    await this.#watch(jobs, jobId);
    this.watchedToEnd++;
  }

  async #submit(jobs: Client<typeof JobService>, number: number): Promise<string> {
    const requestId = randomUUID();
    const count = Buffer.alloc(4);
    count.writeUInt32LE(number % LONG_EVERY === LONG_EVERY - 1 ? LONG_COUNT : SHORT_COUNT);
    const spec = {
      moduleDigest: this.#moduleDigest,
      input: { case: 'inlineInput', value: count } as const,
      limits: { fuel: FUEL_LIMIT },
    };
    const { job } = await this.#again((signal) => jobs.submitJob({ requestId, spec }, { signal }));
    if (job === undefined) throw new Error('submitting a job: the answer is empty');
    this.acknowledged.push({ jobId: job.jobId, requestId });
    return job.jobId;
  }

  /** Goes on from the revision that was seen last. */
  async #watch(jobs: Client<typeof JobService>, jobId: string): Promise<void> {
    let afterRevision = 0n;
    let hasEnded = false;
    for (let failures = 0; !hasEnded; failures++) {
      this.#stop.throwIfAborted();
      try {
        const stream = jobs.watchJob({ jobId, afterRevision }, { signal: this.#stop });
        for await (const { job } of stream) {
          if (job === undefined) continue;
          if (job.revision <= afterRevision) {
            throw new Error(
              `watching ${jobId}: revision ${job.revision} came after ${afterRevision}`,
            );
          }
          afterRevision = job.revision;
          hasEnded = job.state === JobState.ENDED;
        }
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#pauseAfter(failures);
      }
    }
  }

  /** Until it is answered, or fails in a way that no repetition changes. */
  async #again<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let failures = 0; ; failures++) {
      this.#stop.throwIfAborted();
      try {
        return await call(AbortSignal.any([this.#stop, AbortSignal.timeout(CALL_TIMEOUT_MS)]));
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#pauseAfter(failures);
      }
    }
  }

  async #pauseAfter(failures: number): Promise<void> {
    this.retries++;
    await delay(Math.min(LEAST_RETRY_DELAY_MS * 2 ** failures, MOST_RETRY_DELAY_MS));
  }

  #note(error: unknown): void {
    if (!this.#stop.aborted) this.problems.push(String(error));
  }
}

/** A timeout of ours shows as DeadlineExceeded or Canceled, by who noticed it first. */
function isPassing(error: unknown): boolean {
  return (
    isCut(error) ||
    (error instanceof ConnectError &&
      (error.code === Code.DeadlineExceeded || error.code === Code.ResourceExhausted))
  );
}
