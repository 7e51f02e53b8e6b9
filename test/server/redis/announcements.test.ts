import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { systemClock } from '../../../server/clock.ts';
import { RedisAnnouncements } from '../../../server/redis/announcements.ts';
import { openRedis, type RedisConnection } from '../../../server/redis/connection.ts';
import { whenAll } from '../../all.ts';
import { startRedis, type TestRedis } from '../../fakes/redis.ts';
import { announcementsContract, Listener } from '../jobs/announcements.contract.ts';

interface Replica {
  readonly redis: RedisConnection;
  readonly announcements: RedisAnnouncements;
}

const replicas: Replica[] = [];

async function openReplica(...urls: string[]): Promise<Replica> {
  const redis = await openRedis({ urls, onError: () => undefined });
  const announcements = await RedisAnnouncements.open({
    redis,
    clock: systemClock,
    replicaId: randomBytes(8).toString('hex'),
    onError: () => undefined,
  });
  const replica = { redis, announcements };
  replicas.push(replica);
  return replica;
}

async function closeReplicas(): Promise<void> {
  for (const { announcements, redis } of replicas.splice(0)) {
    await announcements.close();
    redis.close();
  }
}

whenAll('announcements over Redis', () => {
  let server: TestRedis;
  let one: Replica;
  let two: Replica;
  before(async () => {
    server = await startRedis();
    [one, two] = [await openReplica(server.url), await openReplica(server.url)];
  });
  after(async () => {
    await closeReplicas();
    await server.stop();
  });

  announcementsContract(() => ({ here: one.announcements, there: two.announcements }));

  it('come back to nobody: a replica is told once of what it published itself', async () => {
    const [own, foreign] = [new Listener(), new Listener()];
    const stops = [
      one.announcements.subscribe('job:1', own.call),
      two.announcements.subscribe('job:1', foreign.call),
    ];
    one.announcements.publish('job:1');
    await foreign.called(1);
    two.announcements.publish('job:1');
    await own.called(2);
    expect(own.count).to.equal(2);
    for (const stop of stops) stop();
  });

  it('of one turn travel in one message, each topic once', async () => {
    const messages: string[] = [];
    const spy = one.redis.newSubscriber();
    await spy.connect();
    await spy.subscribe('gj:announcements');
    spy.on('message', (_, message) => {
      // Others are the echoes that a replica listens for.
      if (message.includes('\n')) messages.push(message.slice(message.indexOf('\n') + 1));
    });
    const last = new Listener();
    const stop = two.announcements.subscribe('job:last', last.call);
    for (const topic of ['job:1', 'queue', 'job:1', 'job:last']) one.announcements.publish(topic);
    await last.called(1);
    // An answer on the same connection comes after the message.
    await spy.ping();
    expect(messages).to.deep.equal(['job:1\nqueue\njob:last']);
    spy.disconnect();
    stop();
  });

  it('that were missed while Redis was away are made good: every listener is called once it is back', async () => {
    const mortal = await startRedis();
    const replica = await openReplica(mortal.url);
    const listener = new Listener();
    replica.announcements.subscribe('job:1', listener.call);
    await mortal.stop();
    const again = await startRedis([], mortal.port);
    await listener.called(1);
    const other = await openReplica(again.url);
    other.announcements.publish('job:1');
    await listener.called(2);
    await again.stop();
  });

  it('are heard again when the connection was cut', async () => {
    const listener = new Listener();
    const stop = two.announcements.subscribe('job:1', listener.call);
    await one.redis.masters()[0]?.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await listener.called(1);
    one.announcements.publish('job:1');
    await listener.called(2);
    stop();
  });

  it('end at start where this replica may not listen', async () => {
    const redis = await openRedis({ urls: [server.url], onError: () => undefined });
    await redis
      .masters()[0]
      ?.acl('SETUSER', 'deaf', 'on', '>secret', '+@all', '~*', 'resetchannels');
    const url = server.url.replace('redis://', 'redis://deaf:secret@');
    const refused = await openReplica(url).catch((error: Error) => error.message);
    expect(refused).to.contain("'gj:announcements'").and.to.contain('NOPERM');
    expect(refused).not.to.contain('secret');
    redis.close();
  });
});
