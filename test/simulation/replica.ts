// One life of a replica: the parts of the control plane as server/identity.ts and server/work.ts put them
// together, over a simulated database, bus and network.
import type { DescMethod } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import { Revocations } from '../../server/certificates/revocations.ts';
import { loadConfig, type ServerConfig } from '../../server/config.ts';
import { Fleet } from '../../server/nodes/fleet.ts';
import { heartbeatService } from '../../server/nodes/heartbeat-service.ts';
import type { NonceStore } from '../../server/nodes/nonce-store.ts';
import type { ServiceImplementation } from '../../server/rpc/service.ts';
import type { Secrets } from '../../server/secrets/secrets.ts';
import { Stops } from '../../server/stops.ts';
import type { Store } from '../../server/store/store.ts';
import { startWork } from '../../server/work.ts';
import type { Announcements } from '../../server/jobs/announcements.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';

export const CONFIG: ServerConfig = loadConfig({
  flags: {
    stripe: 'simulator',
    stripeSimulatorUrl: 'http://127.0.0.1:1',
    dataDir: '/nonexistent',
  },
  environment: {},
});

const HOUR_MS = 3_600_000;

export interface ReplicaParts {
  readonly process: Process;
  readonly random: SeededRandom;
  readonly store: Store;
  readonly announcements: Announcements;
  readonly nonces: NonceStore;
  readonly secrets: Secrets;
  readonly log: Logger;
}

export class Replica {
  readonly process: Process;
  readonly log: Logger;
  readonly fleet: Fleet;
  readonly #services: ReadonlyMap<string, ServiceImplementation>;
  readonly #stops: Stops;
  readonly #gone = new Set<() => void>();

  private constructor(
    { process, log }: ReplicaParts,
    running: { fleet: Fleet; services: readonly ServiceImplementation[]; stops: Stops },
  ) {
    this.process = process;
    this.log = log;
    this.fleet = running.fleet;
    this.#stops = running.stops;
    this.#services = new Map(running.services.map((one) => [one.service.typeName, one]));
    process.onEnd(() => this.#tellGone());
  }

  /** Never resolves where the process is killed meanwhile. */
  static async start(parts: ReplicaParts): Promise<Replica> {
    const { process, random, store, announcements, nonces, secrets, log } = parts;
    const { clock } = process;
    const { baseIntervalMs, lostAfterIntervals, maxBeatsPerSecond } = CONFIG.heartbeat;
    const onError = (doing: string, cause: unknown) => log.error({ err: cause }, doing);
    const stops = new Stops();
    const revocations = await Revocations.open({
      store,
      clock,
      announcements,
      onError: (cause) => onError('reading revocations', cause),
    });
    stops.add(() => revocations.close());
    const fleet = await Fleet.open({
      store,
      clock,
      announcements,
      baseIntervalMs,
      lostAfterIntervals,
      deafForMs: () => nonces.unavailableForMs(),
      onError,
    });
    stops.add(() => fleet.close());
    const heartbeats = heartbeatService({
      store,
      clock,
      randomBytes: random.bytes,
      random: random.fraction,
      heartbeatMaster: secrets.heartbeatMaster,
      certificateLifeMs: CONFIG.certificates.nodeHours * HOUR_MS,
      revocations,
      nonces,
      fleet,
      baseIntervalMs,
      maxBeatsPerSecond,
    });
    const work = await startWork({
      config: CONFIG,
      clock,
      onError,
      store,
      shared: { announcements },
      secrets,
      revocations,
      fleet,
      stops,
      edges: { random: random.bytes, moduleCheck: TRUSTING_CHECK },
    });
    return new Replica(parts, { fleet, services: [heartbeats, ...work], stops });
  }

  handlerOf(method: DescMethod): unknown {
    const service = this.#services.get(method.parent.typeName);
    const handler = service?.handlers[method.localName];
    if (handler === undefined) throw new Error(`calling ${method.name}: no replica serves it`);
    return handler;
  }

  /** Called when its connections end, until the returned function is called. */
  onGone(listener: () => void): () => void {
    this.#gone.add(listener);
    return () => this.#gone.delete(listener);
  }

  /** A stop as on SIGTERM: connections first, then its parts, then it ends. */
  async stop(): Promise<void> {
    this.#tellGone();
    try {
      await this.#stops.run();
      this.process.exit('it has stopped');
    } catch {
      this.process.exit('it could not stop as it should');
    }
  }

  #tellGone(): void {
    for (const listener of this.#gone) listener();
    this.#gone.clear();
  }
}

/** Modules are checked in a process of their own, which has no part here: they are all one empty program. */
const TRUSTING_CHECK = {
  check: () => Promise.resolve({ exportsStart: true, exportsRun: false, minMemoryPages: 1 }),
  close: () => Promise.resolve(),
};
