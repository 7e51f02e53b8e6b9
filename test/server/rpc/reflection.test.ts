import { createFileRegistry, fromBinary, type DescFile } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import {
  ServerReflection,
  type ServerReflectionRequest,
} from '#gen/grpc/reflection/v1/reflection_pb';
import { ServerReflection as ServerReflectionV1alpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';

type Question = ServerReflectionRequest['messageRequest'];

describe('reflection', () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane();
  });
  after(() => plane.stop());

  for (const service of [ServerReflection, ServerReflectionV1alpha]) {
    const ask = async (messageRequest: Question) => {
      const client = plane.clientFor(service, plane.operator);
      const questions = (async function* () {
        yield { messageRequest } as never;
      })();
      const [answer] = await Array.fromAsync(client.serverReflectionInfo(questions));
      return answer?.messageResponse;
    };

    it(`${service.typeName} lists the services`, async () => {
      const answer = await ask({ case: 'listServices', value: '' });
      if (answer?.case !== 'listServicesResponse') throw new Error('no list of services');
      expect(answer.value.service.map(({ name }) => name)).to.include.members([
        ClientAdminService.typeName,
        AuditService.typeName,
        'grpc.health.v1.Health',
        service.typeName,
      ]);
    });

    it(`${service.typeName} gives the whole contract, options and their declarations included`, async () => {
      const files = new Map<string, DescFile['proto']>();
      const wanted = ['gapjunction/admin/v1/client_admin.proto'];
      for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
        if (files.has(name)) continue;
        const answer = await ask({ case: 'fileByFilename', value: name });
        if (answer?.case !== 'fileDescriptorResponse') throw new Error(`there is no ${name}`);
        const [bytes] = answer.value.fileDescriptorProto;
        const file = fromBinary(FileDescriptorProtoSchema, bytes ?? new Uint8Array());
        files.set(name, file);
        wanted.push(...file.dependency);
      }
      const names = [...files.keys()];
      expect(names).to.include.members([
        'buf/validate/validate.proto',
        'gapjunction/access/v1/access.proto',
        'google/protobuf/descriptor.proto',
      ]);
      const root = files.get('gapjunction/admin/v1/client_admin.proto');
      if (root === undefined) throw new Error('the contract is missing');
      const registry = createFileRegistry(root, (name) => files.get(name));
      const method = registry.getService(ClientAdminService.typeName)?.methods[0];
      expect(method?.proto.options?.$unknown?.map(({ no }) => no)).to.deep.equal([50101]);
    });

    it(`${service.typeName} finds symbols and extensions, and says what there is not`, async () => {
      const symbol = await ask({
        case: 'fileContainingSymbol',
        value: 'gapjunction.admin.v1.ClientAdminService.CreditClient',
      });
      expect(symbol?.case).to.equal('fileDescriptorResponse');
      const extension = await ask({
        case: 'fileContainingExtension',
        value: {
          $typeName: 'grpc.reflection.v1.ExtensionRequest',
          containingType: 'google.protobuf.MethodOptions',
          extensionNumber: 50101,
        },
      });
      expect(extension?.case).to.equal('fileDescriptorResponse');
      const numbers = await ask({
        case: 'allExtensionNumbersOfType',
        value: 'google.protobuf.MethodOptions',
      });
      if (numbers?.case !== 'allExtensionNumbersResponse') throw new Error('no numbers');
      expect(numbers.value.extensionNumber).to.include(50101);
      const details = await ask({ case: 'fileContainingSymbol', value: 'google.rpc.ErrorInfo' });
      expect(details?.case).to.equal('fileDescriptorResponse');
      const missing = await ask({ case: 'fileContainingSymbol', value: 'no.Such' });
      if (missing?.case !== 'errorResponse') throw new Error('no error');
      expect(missing.value.errorCode).to.equal(5);
    });
  }
});
