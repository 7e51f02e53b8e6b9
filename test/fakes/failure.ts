// What a caller is told when a call fails, as a value to compare.
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

export interface Failure {
  /** `NotFound`, ... */
  readonly code: keyof typeof Code;
  readonly message: string;
  /** Empty where there was none. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
}

/** The failure of a call that must fail; throws when it succeeds. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (error) {
    const failure = ConnectError.from(error);
    const [info] = failure.findDetails(ErrorInfoSchema);
    const [bad] = failure.findDetails(BadRequestSchema);
    return {
      code: Code[failure.code] as keyof typeof Code,
      message: failure.rawMessage,
      reason: info?.reason ?? '',
      metadata: info?.metadata ?? {},
      violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({
        field,
        description,
      })),
    };
  }
  throw new Error(`a call that had to fail answered ${JSON.stringify(answer)}`);
}

/** What a caller gets of a control plane's refusal. */
export function refusal(
  code: Code,
  reason: string,
  metadata: Record<string, string> = {},
): ConnectError {
  const info = create(ErrorInfoSchema, { reason, domain: 'gap-junction', metadata });
  return new ConnectError(reason, code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
}

/** What a call throws, as it is; null where it throws nothing. */
export async function thrownBy(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return null;
  } catch (error) {
    return error;
  }
}

/** Reads a stream to its end, for the failure that ends it. */
export async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let messages = 0;
  for await (const _ of stream) messages++;
  return messages;
}
