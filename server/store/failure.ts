// What of the database's failures a caller can act on: it is away, or full, or two transactions met. All
// others are our own mistakes.
import { RpcError } from '../rpc/error.ts';

/**
 * SQLSTATE classes and codes (PostgreSQL, appendix A) after which another connection may do better:
 * connection failures, a server that shuts down or starts up, too many connections, a server that became
 * a read-only standby, a session that was idle in its transaction for too long.
 */
const UNAVAILABLE_STATE = /^(08...|57P0[1-5]|53300|25006|25P03)$/;
/** Of Node.js: nobody listens, the connection broke, or no name or way leads there. */
const UNAVAILABLE_CODE =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/;
/** Of the driver, which gives these no code. */
const UNAVAILABLE_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client (has encountered a connection error|was closed) and is not queryable|Cannot use a pool after calling end on the pool)/;

const FULL_STATE = /^(53100|53200)$/;
const FULL_CODE = /^(ENOSPC|EDQUOT)$/;

/** Serialization failure and deadlock: one of two transactions was undone so that the other could go on. */
const CONFLICT_STATE = /^(40001|40P01)$/;

/** An error's chain of causes is followed so far. */
const MAX_CAUSES = 5;

/** What to tell a caller instead of this failure; null where it is no failure of the database's own. */
export function expectedFailure(failure: unknown): RpcError | null {
  let cause = failure;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    // What was thrown as an expected failure is one already.
    if (cause instanceof RpcError) return null;
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
    if (
      UNAVAILABLE_STATE.test(code) ||
      UNAVAILABLE_CODE.test(code) ||
      UNAVAILABLE_MESSAGE.test(cause.message)
    ) {
      return new RpcError(
        'UNAVAILABLE',
        'DATABASE_UNAVAILABLE',
        'asking the database: it does not answer; try again',
        { cause: failure },
      );
    }
    if (FULL_STATE.test(code) || FULL_CODE.test(code)) {
      return new RpcError(
        'RESOURCE_EXHAUSTED',
        'STORAGE_FULL',
        'writing to the database: its disk or memory is full, and nothing was written; try again when the operator has made room',
        { cause: failure },
      );
    }
    if (CONFLICT_STATE.test(code)) {
      return new RpcError(
        'ABORTED',
        'TRANSACTION_CONFLICT',
        'writing to the database: another call changed the same rows at the same moment; try again',
        { cause: failure },
      );
    }
    cause = cause.cause;
  }
  return null;
}
