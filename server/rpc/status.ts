// What a failure looks like on the wire: a gRPC status with google.rpc details (richer error model).
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, type ServerInterceptingCallInterface, status } from '@grpc/grpc-js';
import { BadRequestSchema, ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';
import { StatusSchema } from '#gen/google/rpc/status_pb';
import { RpcError } from './error.ts';

/** As grpc-js takes it. */
export type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

export const OK_STATUS: CallStatus = { code: status.OK, details: 'OK' };

const ERROR_DOMAIN = 'gap-junction';

/** Trailers have to fit a few header frames; a message of ours is a line. */
const MAX_MESSAGE_CHARACTERS = 1024;

/**
 * The status of an expected failure; INTERNAL with nothing but the request id for any other value, whose
 * cause belongs into the log.
 */
export function statusOf(error: unknown, requestId: string): CallStatus {
  const failure =
    error instanceof RpcError
      ? error
      : new RpcError(
          'INTERNAL',
          'INTERNAL',
          `handling the call: something went wrong here; the operator finds the cause under request id '${requestId}'`,
          { metadata: { request_id: requestId } },
        );
  const code = status[failure.code];
  const message = failure.message.slice(0, MAX_MESSAGE_CHARACTERS);
  const details = [
    anyPack(
      ErrorInfoSchema,
      create(ErrorInfoSchema, {
        reason: failure.reason,
        domain: ERROR_DOMAIN,
        metadata: { ...failure.metadata },
      }),
    ),
  ];
  if (failure.fieldViolations.length > 0) {
    const fieldViolations = failure.fieldViolations.map(({ field, description }) => ({
      field,
      description,
    }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  const metadata = new Metadata();
  metadata.set(
    'grpc-status-details-bin',
    Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code, message, details }))),
  );
  metadata.set('x-request-id', requestId);
  return { code, details: message, metadata };
}
