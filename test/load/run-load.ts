// One load: a fleet made beforehand, a control plane, swarms of agents and a program of clients, each a
// process of its own on loopback; what is read while the fleet beats, and the end of all of them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  openClient,
  startControlPlane,
  stopControlPlane,
  type ControlPlane,
} from '../../cli/local-system.ts';
import { Program } from '../../cli/processes.ts';
import { systemClock } from '../../server/clock.ts';
import { cpuMicroseconds, residentBytes, summaryOf } from '../bench/measure.ts';
import { startPostgresql } from '../fakes/postgresql.ts';
import { startRedis } from '../fakes/redis.ts';
import { fleetFile, prepareFleet } from './prepared-fleet.ts';

export interface LoadOptions {
  readonly agents: number;
  /** Of the window in which everything is measured. */
  readonly seconds: number;
  /** Jobs a second; 0 for beats alone. */
  readonly rate: number;
  /** PostgreSQL and Redis, or the embedded parts. */
  readonly parts: 'embedded' | 'real';
  /** Agents that connect in one second. */
  readonly ramp: number;
  readonly onProgress: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface LoadResult {
  readonly agents: number;
  readonly seconds: number;
  readonly beats: number;
  /** Beats that were refused, and streams that ended, though the agent was honest. */
  readonly refused: number;
  readonly beatP50Ms: number;
  readonly beatP95Ms: number;
  /** Of one core, by the server process, over the window. */
  readonly serverCpuPercent: number;
  /** Resident memory that the fleet added to the server, for each agent. */
  readonly bytesPerAgent: number;
  readonly jobs: number;
  readonly jobsFailed: number;
  readonly jobP50Ms: number | null;
  readonly jobP95Ms: number | null;
  /** The first few reasons of what was refused or failed. */
  readonly problems: readonly string[];
}

/** A process holds so many TLS connections without being the bottleneck itself. */
const AGENTS_PER_SWARM = 2_500;

/** Slots of an agent where there are jobs. */
const SLOTS = 2;

const MAX_PROBLEMS = 5;

const SWARM = fileURLToPath(new URL('swarm.ts', import.meta.url));
const CLIENTS = fileURLToPath(new URL('clients.ts', import.meta.url));

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { agents, parts, onProgress } = options;
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-load-'));
  const postgresql = parts === 'real' ? await startPostgresql() : null;
  const redis = parts === 'real' ? await startRedis(['--maxmemory-policy', 'noeviction']) : null;
  const programs: Program[] = [];
  let controlPlane: ControlPlane | null = null;
  try {
    const databaseUrl = postgresql?.newDatabase();
    const dataDir = join(folder, 'control-plane', 'server');
    onProgress(`making ${agents} nodes`);
    await prepareFleet({
      dataDir,
      store:
        databaseUrl === undefined
          ? { kind: 'folder', path: dataDir }
          : { kind: 'postgresql', url: databaseUrl },
      count: agents,
      file: fleetFile(folder),
    });
    controlPlane = await startControlPlane({
      dataDir: join(folder, 'control-plane'),
      port: 0,
      // All agents come from one address.
      serverArgs: [
        '--log-level=warn',
        `--max-connections=${agents + 1_000}`,
        `--max-connections-per-address=${agents + 1_000}`,
        `--max-handshakes-per-address=${agents + 1_000}`,
      ],
      serverEnvironment: {
        ...(databaseUrl !== undefined && { GJ_DATABASE_URL: databaseUrl }),
        ...(redis && { GJ_REDIS_URL: redis.url }),
      },
      onLog: (_, text) => process.stderr.write(text),
      signal: options.signal,
    });
    return await measure(options, { folder, controlPlane, programs });
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    if (controlPlane !== null) await stopControlPlane(controlPlane);
    await redis?.stop();
    postgresql?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  { agents, seconds, rate, ramp, onProgress, signal }: LoadOptions,
  place: {
    readonly folder: string;
    readonly controlPlane: ControlPlane;
    readonly programs: Program[];
  },
): Promise<LoadResult> {
  const { folder, controlPlane, programs } = place;
  const pid = controlPlane.replicas[0]?.program.pid ?? 0;
  const emptyBytes = residentBytes(pid);
  const swarmCount = Math.ceil(agents / AGENTS_PER_SWARM);
  const share = Math.ceil(agents / swarmCount);
  const swarms = Array.from({ length: swarmCount }, (_, index) => {
    const count = Math.min(share, agents - index * share);
    return new Program(`swarm ${index + 1}`, SWARM, [
      `--fleet=${fleetFile(folder)}`,
      `--from=${index * share}`,
      `--count=${count}`,
      `--address=${controlPlane.address}`,
      `--ca=${controlPlane.ca}`,
      `--slots=${rate > 0 ? SLOTS : 0}`,
      `--ramp=${Math.max(1, Math.round(ramp / swarmCount))}`,
    ]);
  });
  programs.push(...swarms);
  onProgress(`connecting ${agents} agents from ${swarmCount} processes, ${ramp} a second`);
  await Promise.all(swarms.map((swarm) => swarm.event('connected', signal)));
  await readWindow(swarms, 1, signal);

  onProgress(`measuring for ${seconds} s`);
  const clients = rate > 0 ? await startClients({ folder, controlPlane, rate, seconds }) : null;
  if (clients !== null) programs.push(clients);
  const cpuBefore = cpuMicroseconds(pid);
  const startedMs = systemClock.now();
  await new Promise<void>((resolve) => {
    const cancel = systemClock.after(seconds * 1_000, resolve);
    signal.addEventListener('abort', () => (cancel(), resolve()), { once: true });
  });
  const tookSeconds = (systemClock.now() - startedMs) / 1_000;
  const cpuSeconds = (cpuMicroseconds(pid) - cpuBefore) / 1_000_000;
  const fullBytes = residentBytes(pid);
  const window = await readWindow(swarms, 2, signal);
  const jobs = clients === null ? null : await clients.event('result', signal);
  const jobTimes = (jobs?.['tookMs'] ?? []) as number[];
  const jobProblems = (jobs?.['problems'] ?? []) as string[];
  const beatTimes = summaryOf(window.tookMs);
  return {
    agents,
    seconds: Math.round(tookSeconds),
    beats: window.tookMs.length,
    refused: window.refused.length,
    beatP50Ms: beatTimes.median,
    beatP95Ms: beatTimes.p95,
    serverCpuPercent: Math.round((cpuSeconds / tookSeconds) * 1_000) / 10,
    bytesPerAgent: Math.round((fullBytes - emptyBytes) / agents),
    jobs: jobTimes.length,
    jobsFailed: jobProblems.length,
    jobP50Ms: jobs === null ? null : summaryOf(jobTimes).median,
    jobP95Ms: jobs === null ? null : summaryOf(jobTimes).p95,
    problems: [...window.refused, ...jobProblems].slice(0, MAX_PROBLEMS),
  };
}

async function startClients({
  folder,
  controlPlane,
  rate,
  seconds,
}: {
  readonly folder: string;
  readonly controlPlane: ControlPlane;
  readonly rate: number;
  readonly seconds: number;
}): Promise<Program> {
  const { cert, key } = await openClient(controlPlane, {
    dataDir: join(folder, 'client'),
    name: 'load',
  });
  return new Program('clients', CLIENTS, [
    `--address=${controlPlane.address}`,
    `--ca=${controlPlane.ca}`,
    `--cert=${cert}`,
    `--key=${key}`,
    `--rate=${rate}`,
    `--seconds=${seconds}`,
  ]);
}

/** What the swarms counted since the window before. */
async function readWindow(
  swarms: readonly Program[],
  number: number,
  signal: AbortSignal,
): Promise<{ readonly tookMs: readonly number[]; readonly refused: readonly string[] }> {
  const windows = await Promise.all(
    swarms.map((swarm) => {
      process.kill(swarm.pid, 'SIGUSR2');
      return swarm.event(`window-${number}`, signal);
    }),
  );
  return {
    tookMs: windows.flatMap((window) => window['tookMs'] as number[]),
    refused: windows.flatMap((window) => window['refused'] as string[]),
  };
}

/** Each agent is a socket in the server, and one in a swarm. Throws where the system allows too few. */
export function requireFiles(agents: number): void {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
  const needed = agents + 1_000;
  if (limit < needed) {
    throw new Error(
      `running ${agents} agents: this shell allows ${limit} open files, ${needed} are needed; raise it with 'ulimit -n ${needed}'`,
    );
  }
}
