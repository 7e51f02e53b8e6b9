import { readFile } from 'node:fs/promises';

import { Command } from 'commander';

import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { EntrySchema } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, ModuleSchema, type Module } from '#gen/gapjunction/job/v1/job_pb';

import { uploadBlob } from '../blobs.ts';
import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { digestText, enumText, print, printMessage } from '../output.ts';
import { untilThere } from '../retry.ts';

/** Uploads and registers a module; both are safe to repeat. */
export async function pushModule(connection: Connection, bytes: Uint8Array): Promise<Module> {
  const digest = await uploadBlob(connection.client(BlobService), bytes);
  const { module } = await untilThere(() =>
    connection.client(JobService).registerModule({ digest }),
  );
  if (module === undefined) throw new CommandError('registering the module: the answer is empty');
  return module;
}

export function modulePushCommand(): Command {
  return withConnection(new Command('push'))
    .description('upload a module and have it checked')
    .argument('<file>', 'a .wasm file')
    .option('--json', 'print the module as JSON')
    .action(async (file: string, options: ConnectionOptions & { json?: boolean }) => {
      const module = await connected(options, async (connection) =>
        pushModule(connection, await readFile(file)),
      );
      if (options.json) printMessage(ModuleSchema, module);
      else {
        const entries = module.entries.map((entry) => enumText(EntrySchema, entry)).join(', ');
        print(
          `${digestText(module.blob!.digest)}  ${module.blob!.sizeBytes} bytes  entry ${entries}`,
        );
      }
    });
}
