// Each request message against the rules that stand in the contract (protovalidate), and the one that holds
// for all its texts.
import { pathToString } from '@bufbuild/protobuf/reflect';
import { createValidator } from '@bufbuild/protovalidate';
import { RpcError } from '../error.ts';
import type { Interceptor } from '../interceptor.ts';
import { findControlCharacter } from '../plain-text.ts';

/** More would only fill the trailers. */
const MAX_VIOLATIONS = 20;

export function validate(): Interceptor {
  const validator = createValidator();
  return {
    onRequest(call, message) {
      if (message === null) return;
      const { input } = call.method.descriptor;
      const result = validator.validate(input, message);
      if (result.kind === 'valid') {
        const field = findControlCharacter(input, message);
        if (field !== null) throw invalid([{ field, description: NO_CONTROL_CHARACTERS }]);
        return;
      }
      // A rule that cannot be evaluated is our mistake: INTERNAL.
      if (result.kind === 'error') throw result.error;
      const fieldViolations = result.violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
        field: pathToString(violation.field),
        description: violation.message,
      }));
      throw invalid(fieldViolations);
    },
  };
}

const NO_CONTROL_CHARACTERS =
  'must have no control characters; take out NUL, line feeds and the like';

function invalid(fieldViolations: RpcError['fieldViolations']): RpcError {
  const first = fieldViolations[0];
  return new RpcError(
    'INVALID_ARGUMENT',
    'INVALID_REQUEST',
    `checking the request: ${first?.field ?? ''} ${first?.description ?? 'is invalid'}`,
    { fieldViolations },
  );
}
