// A real redis-server on a free port of 127.0.0.1, without files, gone after `stop`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** On a free port unless told. Throws where redis-server is not installed (`apt-get install -y redis-server`). */
export async function startRedis(args: readonly string[] = [], on?: number): Promise<TestRedis> {
  const port = on ?? (await freePort());
  const redis = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exit = once(redis, 'exit');
  const ready = (async () => {
    for await (const line of createInterface({ input: redis.stdout })) {
      if (line.includes('Ready to accept connections')) return;
    }
    throw new Error(`starting redis-server on port ${port}: it ended before it was ready`);
  })();
  await Promise.race([
    ready,
    once(redis, 'error').then(([cause]) => Promise.reject(cause as Error)),
  ]);
  redis.stdout.resume();
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    async stop() {
      redis.kill('SIGKILL');
      await exit;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
