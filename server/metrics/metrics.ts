// What is counted, by Prometheus' naming conventions: unit in the name, `_total` for what only rises. The
// list is here alone; docs/operations.md says what each means at 3 a.m.
//
// Labels have few values: codes, reasons and methods of the contract, never an id, an address or a digest.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A call that is over. */
export interface EndedCall {
  /** Full name, as `gapjunction.job.v1.JobService`. */
  readonly service: string;
  readonly method: string;
  readonly kind: 'unary' | 'stream';
  /** A status code's name; OK where it ended well. */
  readonly code: string;
  /** The reason of a refusal, in capitals; empty where it ended well. */
  readonly reason: string;
  readonly tookMs: number;
}

export interface JobCount {
  readonly state: string;
  readonly jobs: number;
  /** Since the oldest came into this state, or was submitted. */
  readonly oldestAgeMs: number;
}

export interface NodeCount {
  readonly standing: string;
  readonly liveness: string;
  readonly nodes: number;
}

/** Asked at each scrape. A failure leaves the figure out; what is down is told by `part_up`. */
export interface MetricSources {
  jobs(): Promise<readonly JobCount[]>;
  nodes(): readonly NodeCount[];
  /** Distance of this replica's clock from the database's, in milliseconds, with its sign. */
  databaseClockOffsetMs(): Promise<number>;
  /** Name of each part and whether it answers. */
  parts(): readonly { readonly name: string; readonly up: boolean }[];
}

export interface Metrics {
  callBegan(call: Pick<EndedCall, 'service' | 'method'>): void;
  callEnded(call: EndedCall): void;
  beatAccepted(): void;
  /** By RefusalReason's name. */
  beatRefused(reason: string): void;
  /** An attempt ended unpaid; a node's own words count as NODE_FAULT. */
  attemptFailed(failure: string): void;
  /** By JobEnd's name. */
  jobEnded(end: string): void;
  /** Fuel that was settled. */
  fuelSettled(fuel: bigint): void;
  /** Something went wrong in the background and was logged. */
  backgroundFailed(): void;
  /** In the text format of Prometheus, with its content type. */
  scrape(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** What an attempt's failure may be called here: a node must not be able to make up labels. */
const FAILURES: ReadonlySet<string> = new Set([
  'NODE_LOST',
  'NODE_REVOKED',
  'NOT_ACKNOWLEDGED',
  'ATTEMPT_MISSING',
  'LEASE_EXPIRED',
  'TOO_SLOW',
  'SANDBOX_DIED',
  'INVALID_MODULE',
  'AGENT_STOPPED',
]);

function failureLabel(failure: string): string {
  const [code = ''] = failure.split(': ');
  return FAILURES.has(code) ? code : 'NODE_FAULT';
}

/** From a call within one process to the slowest that is let run: 1 ms to 60 s. */
const CALL_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** A registry of its own, so that two servers of one process do not count together. */
export function openMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'gap_junction_' });

  const began = new Gauge({
    name: 'gap_junction_rpc_calls_in_progress',
    help: 'Calls under way, streams included',
    labelNames: ['service', 'method'],
    registers,
  });
  const ended = new Counter({
    name: 'gap_junction_rpc_calls_total',
    help: 'Calls that are over, by how they ended; reason is empty where nothing was refused',
    labelNames: ['service', 'method', 'code', 'reason'],
    registers,
  });
  const seconds = new Histogram({
    name: 'gap_junction_rpc_duration_seconds',
    help: 'Time of calls with one answer',
    labelNames: ['service', 'method'],
    buckets: CALL_SECONDS,
    registers,
  });
  const beats = new Counter({
    name: 'gap_junction_heartbeats_total',
    help: 'Heartbeats, by verdict: accepted, or the reason of the refusal',
    labelNames: ['verdict'],
    registers,
  });
  const attempts = new Counter({
    name: 'gap_junction_attempts_failed_total',
    help: 'Attempts that ended unpaid, by why',
    labelNames: ['failure'],
    registers,
  });
  const jobs = new Counter({
    name: 'gap_junction_jobs_ended_total',
    help: 'Jobs that ended, by how',
    labelNames: ['end'],
    registers,
  });
  const fuel = new Counter({
    name: 'gap_junction_settled_fuel_total',
    help: 'Fuel of settled receipts, in instructions',
    registers,
  });
  const failures = new Counter({
    name: 'gap_junction_background_failures_total',
    help: 'Failures in the background; of an outage, the log has one a minute and kind',
    registers,
  });
  const acceptedBeats = beats.labels('accepted');
  let scraping: Promise<string> | null = null;

  gauge('gap_junction_jobs', 'Jobs that are not over, by state', ['state'], async (set) => {
    for (const { state, jobs: count } of await sources.jobs()) set({ state }, count);
  });
  gauge(
    'gap_junction_oldest_job_age_seconds',
    'Age of the oldest job in each state',
    ['state'],
    async (set) => {
      for (const { state, oldestAgeMs } of await sources.jobs()) set({ state }, oldestAgeMs / 1000);
    },
  );
  gauge(
    'gap_junction_nodes',
    'Nodes of the fleet, by what they may do and whether they are heard',
    ['standing', 'liveness'],
    (set) => {
      for (const { nodes, ...labels } of sources.nodes()) set(labels, nodes);
    },
  );
  gauge(
    'gap_junction_database_clock_offset_seconds',
    "This replica's clock minus the database's",
    [],
    async (set) => set({}, (await sources.databaseClockOffsetMs()) / 1000),
  );
  gauge('gap_junction_part_up', '1 while the part answers', ['part'], (set) => {
    for (const { name, up } of sources.parts()) set({ part: name }, up ? 1 : 0);
  });

  function gauge(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: (set: (labels: Record<string, string>, value: number) => void) => void | Promise<void>,
  ): void {
    const asked = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [],
      async collect() {
        this.reset();
        try {
          await collect((labels, value) => this.set(labels, value));
        } catch {
          // The part that did not answer says so itself, in part_up.
          this.reset();
        }
      },
    });
    registry.registerMetric(asked);
  }

  return {
    callBegan: ({ service, method }) => began.inc({ service, method }),
    callEnded({ service, method, kind, code, reason, tookMs }) {
      began.dec({ service, method });
      ended.inc({ service, method, code, reason });
      if (kind === 'unary') seconds.observe({ service, method }, tookMs / 1000);
    },
    beatAccepted: () => acceptedBeats.inc(),
    beatRefused: (reason) => beats.inc({ verdict: reason }),
    attemptFailed: (failure) => attempts.inc({ failure: failureLabel(failure) }),
    jobEnded: (end) => jobs.inc({ end }),
    // Prometheus counts in doubles; the ledger does not.
    fuelSettled: (settled) => fuel.inc(Number(settled)),
    backgroundFailed: () => failures.inc(),
    async scrape() {
      // It asks the database: whoever comes meanwhile gets the same page.
      scraping ??= registry.metrics().finally(() => {
        scraping = null;
      });
      return { contentType: registry.contentType, text: await scraping };
    },
  };
}
