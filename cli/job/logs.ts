import { Command } from 'commander';

import { JobService, TailLogsResponseSchema } from '#gen/gapjunction/job/v1/job_pb';

import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { printMessage, progress } from '../output.ts';
import { Retries } from '../retry.ts';

interface LogsOptions extends ConnectionOptions {
  readonly follow?: boolean;
  readonly attempt?: string;
  readonly json?: boolean;
}

export function jobLogsCommand(): Command {
  return withConnection(new Command('logs'))
    .description('what a job submitted with --debug wrote to stdout and stderr')
    .argument('<job>', 'its id, j-...')
    .option('--follow', 'wait for what comes, until the job has ended')
    .option('--attempt <attempt>', 'begin with this attempt, a-... (default: the newest)')
    .option('--json', 'print each piece as JSON, its bytes in base64')
    .action(async (jobId: string, options: LogsOptions) => {
      await connected(options, (connection) => showLogs(connection, jobId, options));
    });
}

/** Goes on where it was when a replica goes away. */
async function showLogs(
  connection: Connection,
  jobId: string,
  { follow, attempt = '', json }: LogsOptions,
): Promise<void> {
  const jobs = connection.client(JobService);
  let [attemptId, offsetBytes] = [attempt, 0n];
  const retries = new Retries({ mayBeQuiet: true });
  for (;;) {
    try {
      const noFollow = follow !== true;
      for await (const piece of jobs.tailLogs({ jobId, attemptId, offsetBytes, noFollow })) {
        retries.reset();
        if (json) printMessage(TailLogsResponseSchema, piece);
        else {
          if (piece.attemptId !== attemptId) progress(`attempt ${piece.attemptId}`);
          process.stdout.write(process.stdout.isTTY ? plainText(piece.chunk) : piece.chunk);
        }
        attemptId = piece.attemptId;
        offsetBytes = piece.offsetBytes + BigInt(piece.chunk.length);
      }
      return;
    } catch (error) {
      if (!(await retries.again(error))) throw error;
    }
  }
}

/** The node may send what it likes, and a terminal obeys control characters. */
function plainText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/[^\P{Cc}\n\t]/gu, '?');
}
