// How the command fails: one line that says what was being done and what to do next, and an exit code.
import { Code, ConnectError } from '@connectrpc/connect';

import { BadRequestSchema, ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

export const EXIT = { ok: 0, failed: 1, usage: 2, jobFailed: 3, unverified: 4 } as const;

/** Ends the command with a message and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function describeFailure(error: unknown): { message: string; exitCode: number } {
  if (error instanceof CommandError) return { message: error.message, exitCode: error.exitCode };
  if (error instanceof ConnectError) return { message: describeRpc(error), exitCode: EXIT.failed };
  if (isFileError(error)) {
    return {
      message: `reading or writing '${error.path}': ${FILE_REASON[error.code] ?? error.code}`,
      exitCode: EXIT.failed,
    };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { message: text, exitCode: EXIT.failed };
}

const FILE_REASON: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder (ENOENT)',
  EACCES: 'this user may not (EACCES)',
  EISDIR: 'it is a folder (EISDIR)',
};

function isFileError(error: unknown): error is Error & { path: string; code: string } {
  return error instanceof Error && 'path' in error && 'code' in error;
}

function describeRpc(error: ConnectError): string {
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  const parts = [info ? `${error.rawMessage} (${info.reason})` : error.rawMessage];
  for (const { field, description } of violations) parts.push(`  ${field}: ${description}`);
  if (info) {
    for (const [name, value] of Object.entries(info.metadata)) parts.push(`  ${name}: ${value}`);
  }
  const next = NEXT_STEP[error.code];
  if (next && !info) parts.push(`  ${next}`);
  return parts.join('\n');
}

const NEXT_STEP: Partial<Record<Code, string>> = {
  [Code.Unavailable]: 'is the control plane running, and --address right?',
  [Code.Unauthenticated]:
    'give a certificate of this control plane: --cert and --key, or GJ_CERT and GJ_KEY',
  [Code.PermissionDenied]:
    'this certificate is for another role: operators, clients and nodes each have their own',
};
