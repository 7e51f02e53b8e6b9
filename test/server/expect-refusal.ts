import { expect } from 'chai';
import { RpcError } from '../../server/rpc/error.ts';

/** Awaits a call that must be refused, and answers the refusal. */
export async function refusalOf(call: Promise<unknown>): Promise<RpcError> {
  const outcome = await call.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!(outcome instanceof RpcError)) {
    throw new Error('the call was not refused', { cause: outcome });
  }
  return outcome;
}

/** Awaits a call that must be refused with this code and reason. */
export async function expectRefusal(
  call: Promise<unknown>,
  code: RpcError['code'],
  reason: string,
): Promise<RpcError> {
  const refusal = await refusalOf(call);
  expect({ code: refusal.code, reason: refusal.reason }).to.deep.equal({ code, reason });
  return refusal;
}
