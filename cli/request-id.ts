// Calls that a request id makes safe to repeat, also by hand: the same id is carried out once.
import { randomUUID } from 'node:crypto';

import { Code, ConnectError } from '@connectrpc/connect';
import { InvalidArgumentError, Option } from 'commander';

import { systemClock, type Clock } from '../agent/clock.ts';
import { CommandError, describeFailure } from './failure.ts';
import { isPassing, untilThere } from './retry.ts';

/** The contract's bound, in characters. */
const MAX_REQUEST_ID_LENGTH = 64;

export function requestIdOption(): Option {
  return new Option(
    '--request-id <id>',
    `makes a repeated call safe; 1 to ${MAX_REQUEST_ID_LENGTH} characters (default: a new one)`,
  ).argParser((text: string) => {
    const { length } = Array.from(text);
    if (length >= 1 && length <= MAX_REQUEST_ID_LENGTH) return text;
    throw new InvalidArgumentError(
      `it has ${length} characters, not 1 to ${MAX_REQUEST_ID_LENGTH}.`,
    );
  });
}

/**
 * Makes the call under the request id, until it is answered. Where nobody can say whether it was carried
 * out, the failure tells how to repeat the command without doing it twice.
 */
export async function underRequestId<T>(
  call: (requestId: string) => Promise<T>,
  { requestId = randomUUID(), clock = systemClock }: { requestId?: string; clock?: Clock },
): Promise<T> {
  try {
    return await untilThere(() => call(requestId), { clock });
  } catch (error) {
    if (!isOpen(error)) throw error;
    const { message, exitCode } = describeFailure(error);
    throw new CommandError(
      `${message}\n  it may have been done all the same: repeat the command with \`--request-id ${requestId}\`, which does it once`,
      exitCode,
    );
  }
}

/** Whether the call, or one before it under the same id, may have been carried out all the same. */
function isOpen(error: unknown): boolean {
  if (isPassing(error)) return true;
  return (
    error instanceof ConnectError &&
    (error.code === Code.Internal || error.code === Code.DeadlineExceeded)
  );
}
