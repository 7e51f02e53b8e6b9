import { expect } from 'chai';
import { openMetrics, type MetricSources } from '../../../server/metrics/metrics.ts';
import { metricsPage } from '../../../server/metrics/page.ts';

const SOURCES: MetricSources = {
  jobs: async () => [{ state: 'queued', jobs: 3, oldestAgeMs: 1_500 }],
  nodes: () => [{ standing: 'enrolled', liveness: 'live', nodes: 2 }],
  databaseClockOffsetMs: async () => -250,
  parts: () => [
    { name: 'database', up: true },
    { name: 'redis', up: false },
  ],
};

const DOWN = {
  all: () => [
    { name: 'database', needed: true, up: true, sinceMs: 0 },
    { name: 'redis', needed: true, up: false, sinceMs: 1_000 },
  ],
  isServing: () => false,
};

/** The value of each sample of ours, by name and labels as they are written. */
async function samples(metrics: ReturnType<typeof openMetrics>): Promise<Map<string, number>> {
  const { text } = await metrics.scrape();
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))] as const;
      }),
  );
}

describe('the metrics of a replica', () => {
  it('count every call by how it ended, and the reason of every refusal', async () => {
    const metrics = openMetrics(SOURCES);
    const call = { service: 'gapjunction.job.v1.JobService', method: 'SubmitJob' };
    const over = { ...call, kind: 'unary', tookMs: 7 } as const;
    for (let calls = 0; calls < 3; calls++) metrics.callBegan(call);
    metrics.callEnded({ ...over, code: 'OK', reason: '' });
    metrics.callEnded({ ...over, code: 'RESOURCE_EXHAUSTED', reason: 'QUOTA_EXCEEDED' });
    const found = await samples(metrics);
    const labels = 'service="gapjunction.job.v1.JobService",method="SubmitJob"';
    expect(found.get(`gap_junction_rpc_calls_in_progress{${labels}}`)).to.equal(1);
    expect(found.get(`gap_junction_rpc_calls_total{${labels},code="OK",reason=""}`)).to.equal(1);
    expect(
      found.get(
        `gap_junction_rpc_calls_total{${labels},code="RESOURCE_EXHAUSTED",reason="QUOTA_EXCEEDED"}`,
      ),
    ).to.equal(1);
    expect(found.get(`gap_junction_rpc_duration_seconds_count{${labels}}`)).to.equal(2);
  });

  it('tell beats, attempts, jobs and fuel', async () => {
    const metrics = openMetrics(SOURCES);
    metrics.beatAccepted();
    metrics.beatRefused('REPLAYED');
    metrics.attemptFailed('NODE_LOST');
    metrics.attemptFailed('INVALID_MODULE: at byte 8: a node says so');
    metrics.attemptFailed('whatever"} 1\n a node likes');
    metrics.jobEnded('SUCCEEDED');
    metrics.fuelSettled(10n ** 10n);
    metrics.backgroundFailed();
    const found = await samples(metrics);
    expect(found.get('gap_junction_heartbeats_total{verdict="accepted"}')).to.equal(1);
    expect(found.get('gap_junction_heartbeats_total{verdict="REPLAYED"}')).to.equal(1);
    expect(found.get('gap_junction_attempts_failed_total{failure="NODE_LOST"}')).to.equal(1);
    expect(found.get('gap_junction_attempts_failed_total{failure="INVALID_MODULE"}')).to.equal(1);
    expect(found.get('gap_junction_attempts_failed_total{failure="NODE_FAULT"}')).to.equal(1);
    expect(found.get('gap_junction_jobs_ended_total{end="SUCCEEDED"}')).to.equal(1);
    expect(found.get('gap_junction_settled_fuel_total')).to.equal(1e10);
    expect(found.get('gap_junction_background_failures_total')).to.equal(1);
  });

  it('ask what stands now when they are read', async () => {
    const found = await samples(openMetrics(SOURCES));
    expect(found.get('gap_junction_jobs{state="queued"}')).to.equal(3);
    expect(found.get('gap_junction_oldest_job_age_seconds{state="queued"}')).to.equal(1.5);
    expect(found.get('gap_junction_nodes{standing="enrolled",liveness="live"}')).to.equal(2);
    expect(found.get('gap_junction_database_clock_offset_seconds')).to.equal(-0.25);
    expect(found.get('gap_junction_part_up{part="redis"}')).to.equal(0);
  });

  it('are still read while the database is down: only its figures are left out', async () => {
    const gone = (): Promise<never> => Promise.reject(new Error('gone'));
    const metrics = openMetrics({ ...SOURCES, jobs: gone, databaseClockOffsetMs: gone });
    const found = await samples(metrics);
    const ofJobs = [...found.keys()].filter((name) => name.startsWith('gap_junction_jobs{'));
    expect(ofJobs).to.deep.equal([]);
    expect(found.get('gap_junction_part_up{part="database"}')).to.equal(1);
  });
});

describe('the page for machines', () => {
  const page = (url: string, method = 'GET') =>
    metricsPage({ metrics: openMetrics(SOURCES), parts: DOWN, replicaId: 'r-1' }, { method, url });

  it('says which part is down, and since when', async () => {
    const { status, text } = await page('/health');
    expect(status).to.equal(503);
    expect(JSON.parse(text)).to.deep.equal({
      status: 'NOT_SERVING',
      replica: 'r-1',
      parts: {
        database: { up: true, needed: true, since: '1970-01-01T00:00:00.000Z' },
        redis: { up: false, needed: true, since: '1970-01-01T00:00:01.000Z' },
      },
    });
  });

  it('gives metrics in the text format, and tells a supervisor that the process lives', async () => {
    const metrics = await page('/metrics?x=1');
    expect(metrics.contentType).to.contain('text/plain; version=0.0.4');
    expect(metrics.text).to.contain('# TYPE gap_junction_heartbeats_total counter');
    expect((await page('/live')).status).to.equal(200);
  });

  it('refuses what it is not for', async () => {
    for (const [url, method, status] of [
      ['/', 'GET', 404],
      ['/metrics/../health', 'POST', 405],
      ['//evil.example/metrics?', 'DELETE', 405],
      ['/metricsx', 'GET', 404],
      ['http://[', 'GET', 404],
    ] as const) {
      expect((await page(url, method)).status, `${method} ${url}`).to.equal(status);
    }
  });
});
