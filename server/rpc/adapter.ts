// A service of the contract as grpc-js registers it. Bytes go through as they are: serve.ts decodes them,
// where a failure can be answered properly.
import type { DescService } from '@bufbuild/protobuf';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

const asItIs = (bytes: Buffer): Buffer => bytes;

/** Name, paths and kinds of the service, with handlers that are never reached: each call is taken over. */
export function definitionOf(
  service: DescService,
): [ServiceDefinition, UntypedServiceImplementation] {
  const definition: ServiceDefinition = Object.fromEntries(
    service.methods.map((method) => [
      method.name,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream:
          method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
        responseStream:
          method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
        requestSerialize: asItIs,
        requestDeserialize: asItIs,
        responseSerialize: asItIs,
        responseDeserialize: asItIs,
      },
    ]),
  );
  const unreached = Object.fromEntries(
    service.methods.map((method) => [method.name, () => undefined]),
  );
  return [definition, unreached];
}
