// Reading a signed payload so that everyone reads the same: protobuf lets a field come twice (the last
// one counts, or both are merged) and lets a reader skip fields that it does not know. In a document about
// money both are refused: what a verifier does not know, it does not vouch for.

import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** Ours have some 600 bytes; room for names and grants to come, and a bound for what a stranger sends. */
export const MAX_PAYLOAD_BYTES = 16_384;

/** A payload that is not what its type says. The message names the field or the byte offset. */
export class MalformedPayload extends Error {
  override readonly name = 'MalformedPayload';
}

/**
 * The message in these bytes. Throws MalformedPayload when they are more than MAX_PAYLOAD_BYTES, are no
 * such message, or have a field that is unknown, in another wire type than declared, or given twice.
 */
export function decodeStrictly<Desc extends DescMessage>(
  schema: Desc,
  payload: Uint8Array,
): MessageShape<Desc> {
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new MalformedPayload(
      `The ${schema.name} has ${payload.length} bytes, more than ${MAX_PAYLOAD_BYTES}`,
    );
  }
  try {
    refuseOddFields(schema, payload);
    return fromBinary(schema, payload, { readUnknownFields: false });
  } catch (cause) {
    if (cause instanceof MalformedPayload) throw cause;
    throw new MalformedPayload(`The bytes are no ${schema.name}`, { cause });
  }
}

/** The messages of the contract nest two deep, so the recursion is bounded by the schema, not the input. */
function refuseOddFields(schema: DescMessage, bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  const seen = new Set<number>();
  while (reader.pos < reader.len) {
    const offset = reader.pos;
    const [number, wireType] = reader.tag();
    const field = schema.fields.find((candidate) => candidate.number === number);
    if (field === undefined) {
      throw new MalformedPayload(
        `The ${schema.name} has an unknown field ${number} at offset ${offset}`,
      );
    }
    if (seen.has(number) && field.fieldKind !== 'list') {
      throw new MalformedPayload(
        `The ${schema.name} has "${field.name}" twice, at offset ${offset}`,
      );
    }
    seen.add(number);
    if (field.fieldKind === 'message') {
      if (wireType !== WireType.LengthDelimited) {
        throw new MalformedPayload(
          `The ${schema.name} has "${field.name}" in another form, at offset ${offset}`,
        );
      }
      refuseOddFields(field.message, reader.bytes());
    } else {
      reader.skip(wireType, number);
    }
  }
}
