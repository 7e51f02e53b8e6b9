// A method as it is served: descriptor, who may call it, and the function that answers.
import type { DescMethod } from '@bufbuild/protobuf';
import { callersOf, type CallerKind } from './access.ts';
import type { FrameHandler } from './frames.ts';
import type { ServiceImplementation } from './service.ts';

export interface ServedMethod {
  /** `/gapjunction.job.v1.JobService/SubmitJob` */
  readonly path: string;
  readonly descriptor: DescMethod;
  readonly callers: ReadonlySet<CallerKind>;
  readonly handler: unknown;
  /** Where it is served frame by frame. */
  readonly frames: FrameHandler | null;
}

/** Throws when a method has no access option or no handler. */
export function servedMethods(implementation: ServiceImplementation): ServedMethod[] {
  return implementation.service.methods.map((descriptor) => {
    const path = `/${descriptor.parent.typeName}/${descriptor.name}`;
    const handler = implementation.handlers[descriptor.localName];
    if (typeof handler !== 'function') throw new Error(`serving ${path}: it has no handler`);
    const frames = implementation.frames?.[descriptor.localName] ?? null;
    return { path, descriptor, callers: callersOf(descriptor), handler, frames };
  });
}
