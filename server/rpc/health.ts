// grpc.health.v1: whether this server, one of its services, or a part that it leans on works. Anyone may
// ask; a part is asked for as `part/<name>`, as in `part/database`.
import { Health, HealthCheckResponse_ServingStatus } from '#gen/grpc/health/v1/health_pb';
import { RpcError } from './error.ts';
import { implement, type ServiceImplementation } from './service.ts';

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

export interface HealthSwitch {
  readonly implementation: ServiceImplementation;
  /** Tells checks and watchers, for a server that is about to stop. */
  setServing(serving: boolean): void;
}

/** What of the parts matters here. */
export interface HealthParts {
  /** Null for a name that is no part's. */
  of(name: string): { readonly up: boolean } | null;
  /** Whether everything that calls need answers. */
  isServing(): boolean;
  onChange(listener: () => void): () => void;
}

const PART_PREFIX = 'part/';

/** `serviceNames`: full names; the empty name stands for the whole server. */
export function healthService(
  serviceNames: ReadonlySet<string>,
  parts: HealthParts | null = null,
): HealthSwitch {
  let serving = true;
  const watchers = new Set<() => void>();
  const wakeAll = () => {
    for (const wake of watchers) wake();
  };
  parts?.onChange(wakeAll);
  const partOf = (name: string) =>
    name.startsWith(PART_PREFIX) ? (parts?.of(name.slice(PART_PREFIX.length)) ?? null) : null;
  const isKnown = (name: string) => name === '' || serviceNames.has(name) || partOf(name) !== null;
  const status = (name: string) => {
    const works = partOf(name)?.up ?? (serving && (parts?.isServing() ?? true));
    return works ? SERVING : NOT_SERVING;
  };

  const implementation = implement(Health, {
    async check({ service }) {
      if (!isKnown(service)) {
        throw new RpcError(
          'NOT_FOUND',
          'SERVICE_UNKNOWN',
          `checking the health of '${service.slice(0, 100)}': there is no such service`,
        );
      }
      return { status: status(service) };
    },
    async *watch({ service }, { signal }) {
      if (!isKnown(service)) {
        // As the health protocol asks: an unknown service may appear later, so the stream stays.
        yield { status: SERVICE_UNKNOWN };
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          else signal.addEventListener('abort', () => resolve(), { once: true });
        });
        return;
      }
      while (!signal.aborted) {
        const changed = Promise.withResolvers<void>();
        watchers.add(changed.resolve);
        signal.addEventListener('abort', () => changed.resolve(), { once: true });
        try {
          yield { status: status(service) };
          await changed.promise;
        } finally {
          watchers.delete(changed.resolve);
        }
      }
    },
  });

  return {
    implementation,
    setServing(next) {
      if (next === serving) return;
      serving = next;
      wakeAll();
    },
  };
}
