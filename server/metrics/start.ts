// What operators see of this replica: its metrics, the parts that it leans on, and the page for both.
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { Parts, type PartCheck } from '../health/parts.ts';
import { serveHttp } from '../http/http-server.ts';
import { countJobs } from '../jobs/job-count-store.ts';
import type { Stops } from '../stops.ts';
import { databaseNowMs } from '../store/now.ts';
import type { Store } from '../store/store.ts';
import { openMetrics, type Metrics, type NodeCount } from './metrics.ts';
import { metricsPage } from './page.ts';

export interface MetricsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Names this process to whoever reads several. */
  readonly replicaId: string;
  readonly nodes: () => readonly NodeCount[];
  /** Beside the database. */
  readonly checks: readonly PartCheck[];
  readonly stops: Stops;
  /** Where the page is served; null for no page. */
  readonly listen: { readonly host: string; readonly port: number } | null;
}

export interface StartedMetrics {
  readonly metrics: Metrics;
  readonly parts: Parts;
  /** Of the page, or null. */
  readonly url: string | null;
}

export async function startMetrics(options: MetricsOptions): Promise<StartedMetrics> {
  const { store, clock, log, replicaId, nodes, checks, stops, listen } = options;
  const databaseNow = () => store.read(databaseNowMs);
  const parts = Parts.open({
    clock,
    checks: [{ name: 'database', needed: true, ask: databaseNow }, ...checks],
    onChange({ name, up }, cause) {
      if (up) log.info({ part: name }, 'a part answers again');
      else log.error({ part: name, err: cause }, 'a part does not answer');
    },
  });
  stops.add(() => parts.close());
  const metrics = openMetrics({
    jobs: () => store.read(countJobs),
    nodes,
    async databaseClockOffsetMs() {
      const beforeMs = clock.now();
      const thereMs = await databaseNow();
      // Between asking and reading the answer is when the database looked at its clock.
      return (beforeMs + clock.now()) / 2 - thereMs;
    },
    parts: () => parts.all(),
  });
  if (listen === null) return { metrics, parts, url: null };
  const sources = { metrics, parts, replicaId };
  const page = await serveHttp({
    ...listen,
    answer: (request) => metricsPage(sources, request),
    onError: (doing, cause) => log.error({ err: cause }, doing),
  });
  stops.add(() => page.stop());
  return { metrics, parts, url: page.url };
}
