// A job as the command line asks for it.
import { readFile } from 'node:fs/promises';

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Command } from 'commander';

import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { Entry, Grant } from '#gen/gapjunction/job/v1/bill_pb';
import type { JobSpecSchema } from '#gen/gapjunction/job/v1/job_pb';

import { positiveBigint, positiveNumber } from '../arguments.ts';
import { uploadBlob } from '../blobs.ts';
import type { Connection } from '../connection.ts';
import { pushModule } from '../module/push.ts';
import { progress } from '../output.ts';
import { placementOf, type PlacementOptions } from './placement.ts';

/** The contract's bound on an input that travels within SubmitJob. */
const MAX_INLINE_INPUT_BYTES = 1024 * 1024;
const EPOCH_MS = 10;
const MIB_BYTES = 1024 * 1024;

export interface JobOptions {
  readonly input?: string;
  readonly fuel?: bigint;
  readonly deadlineMs?: number;
  readonly memoryMib?: number;
  readonly outputBytes?: bigint;
  readonly debug?: boolean;
}

export function addJobOptions(command: Command): Command {
  return command
    .argument('<file>', 'a .wasm file')
    .option('--input <file>', 'the input; - for standard input (default: empty)')
    .option('--fuel <n>', 'stop after this many instructions', positiveBigint)
    .option('--deadline-ms <n>', 'stop after this time, in steps of 10 ms', positiveNumber)
    .option('--memory-mib <n>', 'the most memory it may have', positiveNumber)
    .option('--output-bytes <n>', 'the longest output it may give', positiveBigint)
    .option('--debug', 'keep what it writes to stderr (and stdout) as logs');
}

/** Pushes the module and a long input; answers the spec. Says which grants it adds by itself. */
export async function prepareJob(
  connection: Connection,
  file: string,
  options: JobOptions & PlacementOptions,
): Promise<MessageInitShape<typeof JobSpecSchema>> {
  const module = await pushModule(connection, await readFile(file));
  const grants: Grant[] = [];
  if (module.entries.includes(Entry.START)) {
    progress('asking for the grant STDOUT_AS_RESULT: a _start module has no other result');
    grants.push(Grant.STDOUT_AS_RESULT);
  }
  if (options.debug) grants.push(Grant.DEBUG_LOGS);
  const input = options.input === undefined ? new Uint8Array() : await readInput(options.input);
  return {
    moduleDigest: module.blob!.digest,
    input:
      input.length <= MAX_INLINE_INPUT_BYTES
        ? { case: 'inlineInput', value: input }
        : { case: 'inputDigest', value: await uploadBlob(connection.client(BlobService), input) },
    grants,
    ...placementOf(options),
    limits: {
      fuel: options.fuel ?? 0n,
      deadlineEpochs: Math.ceil((options.deadlineMs ?? 0) / EPOCH_MS),
      memoryBytes: BigInt((options.memoryMib ?? 0) * MIB_BYTES),
      outputBytes: options.outputBytes ?? 0n,
    },
  };
}

async function readInput(path: string): Promise<Uint8Array> {
  if (path !== '-') return readFile(path);
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
