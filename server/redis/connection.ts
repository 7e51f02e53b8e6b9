// Every connection to Redis is made here: alone (one URL), or Cluster (several, its seeds). What Redis
// does not answer soon counts as unavailable: nothing waits in a queue for it to come back.
import { Cluster, Redis, type RedisOptions } from 'ioredis';

/** A beat's answer waits for it; a healthy Redis answers within a millisecond. */
const COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 2_000;
/** Without a byte for so long while a command waits, the connection was cut and nobody told us. */
const SILENT_TIMEOUT_MS = 2_000;
const RECONNECT_STEP_MS = 50;
const RECONNECT_CAP_MS = 1_000;

/** In a failover, a command is tried again for half a second before it counts as not answered. */
const CLUSTER_TRIES = 5;
const CLUSTER_RETRY_MS = 100;

export interface RedisConnection {
  readonly commands: Redis | Cluster;
  /** The servers that hold data now, each to be asked by itself. */
  masters(): readonly Redis[];
  /** A connection for messages alone, not yet connected, that does not reconnect. Takes servers in turn. */
  newSubscriber(): Redis;
  close(): void;
}

export interface OpenRedisOptions {
  /** `redis://HOST:PORT/DB` or `rediss://...`: one for a Redis alone, several for a Cluster. */
  readonly urls: readonly string[];
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

/** Connects. Rejects when Redis does not answer; afterwards it reconnects by itself, for ever. */
export async function openRedis({ urls, onError }: OpenRedisOptions): Promise<RedisConnection> {
  const commands = urls.length > 1 ? clusterOf(urls) : aloneOf(urls[0] ?? '');
  // Why a connection failed is told by an event; `connect` says that it did. Each try to connect again has
  // one: an outage is told once.
  let why = '';
  let isAway = false;
  commands.on('error', (cause: Error) => {
    why = `: ${cause.message}`;
    if (!isAway) onError('talking to Redis', cause);
    isAway = true;
  });
  commands.on('ready', () => {
    isAway = false;
  });
  try {
    await commands.connect();
  } catch (cause) {
    commands.disconnect();
    throw new Error(`connecting to the Redis of GJ_REDIS_URL${why}; is it running?`, { cause });
  }
  let subscribers = 0;
  return {
    commands,
    masters: () => (commands instanceof Cluster ? commands.nodes('master') : [commands]),
    newSubscriber: () =>
      new Redis(urls[subscribers++ % urls.length] ?? '', {
        ...COMMON,
        lazyConnect: true,
        enableOfflineQueue: false,
        retryStrategy: () => null,
      }),
    close: () => commands.disconnect(),
  };
}

const COMMON = {
  maxRetriesPerRequest: 1,
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  socketTimeout: SILENT_TIMEOUT_MS,
} as const satisfies RedisOptions;

const reconnectDelayMs = (tries: number) => Math.min(tries * RECONNECT_STEP_MS, RECONNECT_CAP_MS);

function aloneOf(url: string): Redis {
  return new Redis(url, {
    ...COMMON,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    retryStrategy: reconnectDelayMs,
  });
}

function clusterOf(urls: readonly string[]): Cluster {
  const [first] = urls.map((url) => new URL(url));
  return new Cluster([...urls], {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    clusterRetryStrategy: reconnectDelayMs,
    maxRedirections: CLUSTER_TRIES,
    retryDelayOnFailover: CLUSTER_RETRY_MS,
    retryDelayOnClusterDown: CLUSTER_RETRY_MS,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // One user for all servers of a Cluster: those that are found by the seeds have no URL of their own.
    redisOptions: {
      ...COMMON,
      ...(first?.username && { username: decodeURIComponent(first.username) }),
      ...(first?.password && { password: decodeURIComponent(first.password) }),
      ...(first?.protocol === 'rediss:' && { tls: {} }),
    },
  });
}
