// Announcements between replicas, over one channel of Redis pub/sub.
//
// 1. Listeners of this replica are called at once; what is published in one turn of the event loop then
//    travels in one message: the sender's id, then the topics, a line each. A replica ignores its echoes.
// 2. Redis keeps no message for who is away. So after each break every listener is called once, and all who
//    listen look by themselves now and then: what is lost delays, and no more.
// 3. A connection can be deaf without an end: half open, or to a server that its Cluster gave up. So each
//    replica listens for its own echo, and connects anew, to the next server, when it does not hear it.
import type { Redis } from 'ioredis';
import type { Clock } from '../clock.ts';
import { LocalAnnouncements, type Announcements } from '../jobs/announcements.ts';
import type { RedisConnection } from './connection.ts';

const CHANNEL = 'gj:announcements';

/** Some 40 KiB; more are split. */
const MAX_TOPICS_PER_MESSAGE = 1_000;
const MAX_MESSAGE_CHARACTERS = MAX_TOPICS_PER_MESSAGE * 128;

const ECHO_INTERVAL_MS = 2_000;
/** Three echoes were missed. */
const DEAF_AFTER_MS = 7_000;
const RECONNECT_DELAY_MS = 500;

export interface RedisAnnouncementsOptions {
  readonly redis: RedisConnection;
  readonly clock: Clock;
  /** Unlike that of any other process on this Redis; one line. */
  readonly replicaId: string;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

export class RedisAnnouncements implements Announcements {
  readonly #options: RedisAnnouncementsOptions;
  readonly #local = new LocalAnnouncements();
  readonly #unsent = new Set<string>();
  #subscriber: Redis | null = null;
  #heardMs = 0;
  #isClosed = false;
  #stopEcho: () => void = () => undefined;
  #stopReconnect: () => void = () => undefined;

  private constructor(options: RedisAnnouncementsOptions) {
    this.#options = options;
  }

  /** Rejects when this replica may not listen to the channel, or Redis does not answer. */
  static async open(options: RedisAnnouncementsOptions): Promise<RedisAnnouncements> {
    const announcements = new RedisAnnouncements(options);
    try {
      await announcements.#listen();
    } catch (cause) {
      await announcements.close();
      throw new Error(
        `listening to the channel '${CHANNEL}' of Redis: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    announcements.#stopEcho = options.clock.every(ECHO_INTERVAL_MS, () => announcements.#echo());
    return announcements;
  }

  publish(topic: string): void {
    this.#local.publish(topic);
    if (this.#isClosed) return;
    if (this.#unsent.size === 0) this.#options.clock.after(0, () => this.#send());
    this.#unsent.add(topic);
  }

  subscribe(topic: string, listener: () => void): () => void {
    return this.#local.subscribe(topic, listener);
  }

  /** Sends what is unsent, and listens no longer. */
  async close(): Promise<void> {
    this.#send();
    this.#isClosed = true;
    this.#stopEcho();
    this.#stopReconnect();
    this.#subscriber?.disconnect();
  }

  async #listen(): Promise<void> {
    const { redis, clock } = this.#options;
    const subscriber = redis.newSubscriber();
    this.#subscriber = subscriber;
    // What goes wrong is told by what is awaited below, or by the end of the connection.
    subscriber.on('error', () => undefined);
    subscriber.on('message', (_, message) => this.#receive(message));
    await subscriber.connect();
    await subscriber.subscribe(CHANNEL);
    this.#heardMs = clock.now();
    // Only from here on: until now, our caller learns of a failure.
    subscriber.once('close', () => this.#listenAgain('first'));
    if (this.#isClosed) subscriber.disconnect();
  }

  /** Tries until it listens. Tells the first failure alone: the connection for commands tells the rest. */
  #listenAgain(tries: 'first' | 'more'): void {
    if (this.#isClosed) return;
    const { clock, onError } = this.#options;
    this.#stopReconnect = clock.after(RECONNECT_DELAY_MS, () => {
      this.#listen().then(
        () => this.#local.publishAll(),
        (cause: unknown) => {
          if (tries === 'first') onError('listening to Redis again', cause);
          this.#subscriber?.disconnect();
          this.#listenAgain('more');
        },
      );
    });
  }

  /** An empty message, for nobody but ourselves. */
  #echo(): void {
    const { clock } = this.#options;
    if (clock.now() - this.#heardMs > DEAF_AFTER_MS) this.#subscriber?.disconnect();
    this.#sendTopics([]);
  }

  #send(): void {
    const topics = [...this.#unsent];
    this.#unsent.clear();
    for (let first = 0; first < topics.length; first += MAX_TOPICS_PER_MESSAGE) {
      this.#sendTopics(topics.slice(first, first + MAX_TOPICS_PER_MESSAGE));
    }
  }

  #sendTopics(topics: readonly string[]): void {
    const { redis, replicaId } = this.#options;
    // A lost message only delays, and that Redis is gone is logged by its connection.
    redis.commands.publish(CHANNEL, [replicaId, ...topics].join('\n')).catch(() => undefined);
  }

  #receive(message: string): void {
    if (message.length > MAX_MESSAGE_CHARACTERS) {
      const cause = new Error(`the message has ${message.length} characters, and none of ours has`);
      this.#options.onError('reading an announcement', cause);
      return;
    }
    const [sender, ...topics] = message.split('\n');
    if (sender === this.#options.replicaId) this.#heardMs = this.#options.clock.now();
    else for (const topic of topics) this.#local.publish(topic);
  }
}
