// The parts that a benchmark runs on: what is embedded, or a real PostgreSQL and Redis where they are
// installed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startControlPlane, stopControlPlane, type ControlPlane } from '../../cli/local-system.ts';
import { startPostgresql } from '../fakes/postgresql.ts';
import { startRedis } from '../fakes/redis.ts';
import type { Pids } from './processes.ts';

export type Parts = 'embedded' | 'PostgreSQL' | 'PostgreSQL and Redis';

/** Many nodes are enrolled from one address here. */
const ENROLMENT_ARGS = [
  '--enrolments-per-address-per-second=10000',
  '--enrolment-burst-per-address=10000',
  '--log-level=warn',
];

export interface ControlPlaneWorld {
  readonly controlPlane: ControlPlane;
  /** For what else belongs to the benchmark. */
  readonly dataDir: string;
  readonly pids: Pids;
}

/** Runs `work` on a control plane of these parts; a process of its own each, all gone afterwards. */
export async function withControlPlane<T>(
  parts: Parts,
  work: (world: ControlPlaneWorld) => Promise<T>,
): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-bench-'));
  const postgresql = parts === 'embedded' ? null : await startPostgresql();
  const redis = parts === 'PostgreSQL and Redis' ? await startRedis(REDIS_ARGS) : null;
  try {
    const controlPlane = await startControlPlane({
      dataDir,
      port: 0,
      serverArgs: ENROLMENT_ARGS,
      serverEnvironment: {
        ...(postgresql && { GJ_DATABASE_URL: postgresql.newDatabase() }),
        ...(redis && { GJ_REDIS_URL: redis.url }),
      },
    });
    try {
      const [replica] = controlPlane.replicas;
      const server = replica?.program.pid ?? 0;
      const pids = { server, ...(postgresql && { PostgreSQL: postgresql.pid() }) };
      return await work({ controlPlane, dataDir, pids });
    } finally {
      await stopControlPlane(controlPlane);
    }
  } finally {
    await redis?.stop();
    postgresql?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const REDIS_ARGS = ['--maxmemory-policy', 'noeviction'];
