// grpc.reflection v1 and v1alpha: the contract, asked for over the wire, so that grpcurl needs no files.
import { create, type DescFile, type DescMessage, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import { file_google_rpc_error_details } from '#gen/google/rpc/error_details_pb';
import {
  ServerReflection as ServerReflectionV1,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from '#gen/grpc/reflection/v1/reflection_pb';
import { ServerReflection as ServerReflectionV1alpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import { implement, type ServiceImplementation } from './service.ts';

/** What tools look up by name: a file by its path, or by a symbol or extension that it declares. */
interface Index {
  readonly serviceNames: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  readonly fileOfSymbol: ReadonlyMap<string, DescFile>;
  /** By `<extended type>:<number>`. */
  readonly fileOfExtension: ReadonlyMap<string, DescFile>;
  readonly extensionNumbers: ReadonlyMap<string, readonly number[]>;
}

/** Both versions, for the given services and themselves. */
export function reflectionServices(
  services: readonly ServiceImplementation[],
): readonly ServiceImplementation[] {
  const described = [
    ...services.map(({ service }) => service),
    ServerReflectionV1,
    ServerReflectionV1alpha,
  ];
  const index = indexOf(
    described.map(({ typeName }) => typeName),
    // With the details of errors, which no service mentions, so that a tool can show them.
    [...described.map(({ file }) => file), file_google_rpc_error_details],
  );
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const request of requests) yield answer(index, request);
  }
  return [
    implement(ServerReflectionV1, { serverReflectionInfo }),
    // The older version has the same fields under another package.
    implement(ServerReflectionV1alpha, {
      serverReflectionInfo: serverReflectionInfo as never,
    }),
  ];
}

function indexOf(serviceNames: readonly string[], roots: readonly DescFile[]): Index {
  const files = new Map<string, DescFile>();
  const pending = [...roots];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (files.has(protoName(file))) continue;
    files.set(protoName(file), file);
    pending.push(...file.dependencies);
  }
  const fileOfSymbol = new Map<string, DescFile>();
  const fileOfExtension = new Map<string, DescFile>();
  const extensionNumbers = new Map<string, number[]>();
  for (const file of files.values()) {
    for (const symbol of symbolsOf(file)) fileOfSymbol.set(symbol, file);
    for (const { extendee, number } of file.extensions) {
      fileOfExtension.set(`${extendee.typeName}:${number}`, file);
      extensionNumbers.set(extendee.typeName, [
        ...(extensionNumbers.get(extendee.typeName) ?? []),
        number,
      ]);
    }
  }
  return { serviceNames, files, fileOfSymbol, fileOfExtension, extensionNumbers };
}

function* symbolsOf(file: DescFile): Iterable<string> {
  for (const service of file.services) {
    yield service.typeName;
    for (const method of service.methods) yield `${service.typeName}.${method.name}`;
  }
  for (const enumeration of file.enums) yield enumeration.typeName;
  for (const extension of file.extensions) yield extension.typeName;
  const messages: DescMessage[] = [...file.messages];
  for (let message = messages.pop(); message !== undefined; message = messages.pop()) {
    yield message.typeName;
    for (const field of message.fields) yield `${message.typeName}.${field.name}`;
    for (const nested of message.nestedEnums) yield nested.typeName;
    messages.push(...message.nestedMessages);
  }
}

function answer(index: Index, request: ServerReflectionRequest): ServerReflectionResponse {
  const respond = (messageResponse: ServerReflectionResponse['messageResponse']) =>
    create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse,
    });
  const missing = (what: string) =>
    respond({
      case: 'errorResponse',
      value: {
        $typeName: 'grpc.reflection.v1.ErrorResponse',
        errorCode: status.NOT_FOUND,
        errorMessage: `looking up ${what.slice(0, 200)}: there is none`,
      },
    });
  const file = (found: DescFile | undefined, what: string) =>
    found === undefined ? missing(what) : respond(fileResponse(found));

  const { messageRequest } = request;
  switch (messageRequest.case) {
    case 'listServices': {
      const service = index.serviceNames.map((name) => ({
        $typeName: 'grpc.reflection.v1.ServiceResponse' as const,
        name,
      }));
      return respond({
        case: 'listServicesResponse',
        value: { $typeName: 'grpc.reflection.v1.ListServiceResponse', service },
      });
    }
    case 'fileByFilename':
      return file(index.files.get(messageRequest.value), `file '${messageRequest.value}'`);
    case 'fileContainingSymbol':
      return file(index.fileOfSymbol.get(messageRequest.value), `'${messageRequest.value}'`);
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = messageRequest.value;
      const key = `${containingType}:${extensionNumber}`;
      return file(index.fileOfExtension.get(key), `extension ${key}`);
    }
    case 'allExtensionNumbersOfType': {
      const extensionNumber = [...(index.extensionNumbers.get(messageRequest.value) ?? [])];
      if (!index.fileOfSymbol.has(messageRequest.value)) return missing(messageRequest.value);
      return respond({
        case: 'allExtensionNumbersResponse',
        value: {
          $typeName: 'grpc.reflection.v1.ExtensionNumberResponse',
          baseTypeName: messageRequest.value,
          extensionNumber,
        },
      });
    }
    case undefined:
      return missing('nothing');
    default:
      return messageRequest satisfies never;
  }
}

function fileResponse(file: DescFile): ServerReflectionResponse['messageResponse'] {
  return {
    case: 'fileDescriptorResponse',
    value: {
      $typeName: 'grpc.reflection.v1.FileDescriptorResponse',
      fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, file.proto)],
    },
  };
}

function protoName(file: DescFile): string {
  return file.proto.name;
}
