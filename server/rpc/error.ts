// What a caller is told when a call fails: a code, a reason it can act on, and nothing of the inside.
import { status } from '@grpc/grpc-js';

export type CodeName = Exclude<keyof typeof status, 'OK'>;

export interface FieldViolation {
  /** Path of the field, as `spec.limits.fuel`. */
  readonly field: string;
  readonly description: string;
}

/**
 * An expected failure of a call. Becomes a status with `google.rpc.ErrorInfo` (reason, domain
 * `gap-junction`, metadata) and, where there are violations, `google.rpc.BadRequest`. Any other thrown
 * value becomes INTERNAL with the request id; its cause stays in the log.
 */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: CodeName;
  /** In capitals, documented at the RPC in the contract. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];

  constructor(
    code: CodeName,
    reason: string,
    message: string,
    options: {
      metadata?: Readonly<Record<string, string>>;
      fieldViolations?: readonly FieldViolation[];
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.fieldViolations = options.fieldViolations ?? [];
  }
}

/** For an id that is not there, or not the caller's: both look alike. */
export function notFound(what: string, id: string): RpcError {
  return new RpcError('NOT_FOUND', 'NOT_FOUND', `finding ${what} '${id}': there is none of yours`);
}

/** For bytes on the wire that are no request of the method with this path. */
export function malformed(path: string, what: string, cause?: unknown): RpcError {
  return new RpcError(
    'INVALID_ARGUMENT',
    'MALFORMED_REQUEST',
    `reading the request of ${path}: ${what}`,
    { cause },
  );
}
