// Who may call a method, as its access option in the contract says.
import { type DescMethod, getOption, hasOption } from '@bufbuild/protobuf';
import { access, Role } from '#gen/gapjunction/access/v1/access_pb';
import type { Caller } from './service.ts';

export type CallerKind = Caller['kind'];

/** The two services that are not ours and so carry no access option. */
const FOREIGN_ACCESS: Readonly<Record<string, readonly CallerKind[]>> = {
  'grpc.health.v1.Health': ['anyone'],
  'grpc.reflection.v1.ServerReflection': ['node', 'client', 'operator'],
  'grpc.reflection.v1alpha.ServerReflection': ['node', 'client', 'operator'],
};

const KIND_OF_ROLE: ReadonlyMap<number, CallerKind> = new Map([
  [Role.ANYONE, 'anyone'],
  [Role.NODE, 'node'],
  [Role.CLIENT, 'client'],
  [Role.OPERATOR, 'operator'],
]);

/** Throws where the contract names nobody: such a method must not be served. */
export function callersOf(method: DescMethod): ReadonlySet<CallerKind> {
  const name = `${method.parent.typeName}/${method.name}`;
  const foreign = FOREIGN_ACCESS[method.parent.typeName];
  if (foreign !== undefined) return new Set(foreign);
  const roles = hasOption(method, access) ? getOption(method, access).callers : [];
  const kinds = new Set<CallerKind>();
  for (const role of roles) {
    const kind = KIND_OF_ROLE.get(role);
    if (kind === undefined) throw new Error(`serving ${name}: its access option has role ${role}`);
    kinds.add(kind);
  }
  if (kinds.size === 0) {
    throw new Error(`serving ${name}: it has no access option, so nobody may call it; add one`);
  }
  return kinds;
}
