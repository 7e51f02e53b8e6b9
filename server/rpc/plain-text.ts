// Texts of requests go into the database, logs and terminals: PostgreSQL holds no NUL and fails a whole
// statement over one, with everybody's rows that were to be written with it; a line feed forges a line of a
// log; an escape sequence rules a terminal.
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';

const CONTROL = /\p{Cc}/u;

/** The field of the first text with a control character, as `spec.constraints.labels`; null where none has. */
export function findControlCharacter(schema: DescMessage, message: object): string | null {
  for (const field of schema.fields) {
    const found = inField(field, valueOf(field, message));
    if (found !== null) return found === '' ? field.name : `${field.name}.${found}`;
  }
  return null;
}

type Values = Readonly<Record<string, unknown>>;

function valueOf({ localName, oneof }: DescField, message: object): unknown {
  if (oneof === undefined) return (message as Values)[localName];
  const chosen = (message as Values)[oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

/** Where below the field it is: empty for the field itself. */
function inField(field: DescField, value: unknown): string | null {
  if (value === undefined) return null;
  switch (field.fieldKind) {
    case 'scalar':
      return field.scalar === ScalarType.STRING ? inText(value) : null;
    case 'message':
      return findControlCharacter(field.message, value as object);
    case 'list':
      return inEach(field, value as readonly unknown[]);
    case 'map':
      return (
        inText(Object.keys(value as object).join('')) ??
        inEach(field, Object.values(value as object))
      );
    case 'enum':
      return null;
    default:
      return field satisfies never;
  }
}

function inEach(
  { scalar, message }: { readonly scalar?: ScalarType; readonly message?: DescMessage },
  values: readonly unknown[],
): string | null {
  if (scalar !== ScalarType.STRING && message === undefined) return null;
  for (const value of values) {
    const found =
      message === undefined ? inText(value) : findControlCharacter(message, value as object);
    if (found !== null) return found;
  }
  return null;
}

function inText(value: unknown): '' | null {
  return CONTROL.test(value as string) ? '' : null;
}
