// A real Redis Cluster on 127.0.0.1: three masters with a follower each, gone after `stop`.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startRedis, type TestRedis } from './redis.ts';

const MASTERS = 3;

/** A master that is silent for so long is replaced. */
const NODE_TIMEOUT_MS = 2_000;

export interface TestRedisCluster {
  /** Of every server. */
  readonly urls: readonly string[];
  /** Kills this server, unless it is dead; where it is a master, its follower takes over. */
  kill(url: string): Promise<void>;
  /** By its URL. */
  masterOf(key: string): string;
  stop(): Promise<void>;
}

export async function startRedisCluster(): Promise<TestRedisCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-redis-cluster-'));
  const servers: TestRedis[] = [];
  for (let index = 0; index < 2 * MASTERS; index++) {
    servers.push(
      await startRedis([
        '--dir',
        folder,
        '--cluster-enabled',
        'yes',
        '--cluster-config-file',
        `nodes-${index}.conf`,
        '--cluster-port',
        String(await freePort()),
        '--cluster-node-timeout',
        String(NODE_TIMEOUT_MS),
      ]),
    );
  }
  const cli = (server: TestRedis | undefined, ...args: readonly string[]): string =>
    execFileSync('redis-cli', ['-p', String(server?.port), ...args], { encoding: 'utf8' });
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  cli(servers[0], '--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes');
  // Followers are followers once they have said so: before, their master cannot be replaced.
  for (const server of servers) while (!isSynchronized(cli(server, 'info', 'replication')));

  const alive = new Set(servers);
  return {
    urls: servers.map(({ url }) => url),
    async kill(url) {
      const server = servers.find((one) => one.url === url);
      if (server === undefined || !alive.delete(server)) return;
      await server.stop();
    },
    masterOf(key) {
      const [witness] = alive;
      const slot = Number(cli(witness, 'cluster', 'keyslot', key));
      const port = masterPortOf(cli(witness, 'cluster', 'nodes'), slot);
      return servers.find((server) => server.port === port)?.url ?? '';
    },
    async stop() {
      for (const server of alive) await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function isSynchronized(replication: string): boolean {
  return replication.includes('role:slave')
    ? replication.includes('master_link_status:up')
    : /connected_slaves:[1-9]/.test(replication);
}

/** From lines as `<id> 127.0.0.1:7000@17000 master - 0 0 1 connected 0-5460`. */
function masterPortOf(nodes: string, slot: number): number {
  for (const line of nodes.split('\n')) {
    const [, address = '', flags = '', , , , , , ...ranges] = line.split(' ');
    if (!flags.includes('master')) continue;
    for (const range of ranges) {
      const [first = NaN, last = first] = range.split('-').map(Number);
      if (slot >= first && slot <= last) return Number(/:(\d+)@/.exec(address)?.[1]);
    }
  }
  throw new Error(`finding the master of slot ${slot} in\n${nodes}`);
}
