// grpcurl, the client that everybody has, at one version: built into a cache where it is missing.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const MODULE = 'github.com/fullstorydev/grpcurl/cmd/grpcurl';
const VERSION = 'v1.9.3';
const FOLDER = join(
  import.meta.dirname,
  `../../node_modules/.cache/gap-junction/grpcurl-${VERSION}`,
);

export interface Answer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type Grpcurl = (...args: readonly string[]) => Promise<Answer>;

/** Needs Go the first time, for about a minute. */
export async function openGrpcurl(): Promise<Grpcurl> {
  const binary = join(FOLDER, 'grpcurl');
  if (!existsSync(binary)) {
    await promisify(execFile)('go', ['install', `${MODULE}@${VERSION}`], {
      env: { ...process.env, GOBIN: FOLDER, GOFLAGS: '' },
    });
  }
  return (...args) =>
    new Promise((resolve) => {
      execFile(binary, args, (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : Number(error.code ?? 1);
        resolve({ exitCode, stdout, stderr });
      });
    });
}
