// Each request message against the rules that stand in the contract (protovalidate).
import { pathToString } from '@bufbuild/protobuf/reflect';
import { createValidator } from '@bufbuild/protovalidate';
import { RpcError } from '../error.ts';
import type { Interceptor } from '../interceptor.ts';

/** More would only fill the trailers. */
const MAX_VIOLATIONS = 20;

export function validate(): Interceptor {
  const validator = createValidator();
  return {
    onRequest(call, message) {
      if (message === null) return;
      const result = validator.validate(call.method.descriptor.input, message);
      if (result.kind === 'valid') return;
      // A rule that cannot be evaluated is our mistake: INTERNAL.
      if (result.kind === 'error') throw result.error;
      const fieldViolations = result.violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
        field: pathToString(violation.field),
        description: violation.message,
      }));
      const first = fieldViolations[0];
      throw new RpcError(
        'INVALID_ARGUMENT',
        'INVALID_REQUEST',
        `checking the request: ${first?.field ?? ''} ${first?.description ?? 'is invalid'}`,
        { fieldViolations },
      );
    },
  };
}
