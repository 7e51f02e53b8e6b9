import { randomBytes } from 'node:crypto';

import { ConnectError, Code } from '@connectrpc/connect';
import { expect } from 'chai';
import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';
import { startStripeSimulator, type StripeSimulator } from '../../../stripe-simulator/simulator.ts';
import { whenAll } from '../../all.ts';
import { type ControlPlane, startControlPlane } from '../../fakes/control-plane.ts';
import { BeatStream, enrolNode, type TestNode } from '../../fakes/node.ts';
import { startRedis, type TestRedis } from '../../fakes/redis.ts';

whenAll('heartbeats with nonces in Redis', () => {
  let simulator: StripeSimulator;
  let redis: TestRedis;
  let controlPlane: ControlPlane;
  let node: TestNode;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    redis = await startRedis();
    controlPlane = await startControlPlane({
      settings: { stripeSimulatorUrl: simulator.url },
      configure: (config) => ({ ...config, redisUrls: [redis.url] }),
    });
    node = await enrolNode(controlPlane, 'Redis');
  });
  after(async () => {
    await controlPlane.stop();
    await redis.stop();
    await simulator.stop();
  });

  it('take a beat, and its nonce once', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    const nonce = randomBytes(16);
    expect((await stream.exchange(stream.beat({ nonce }))).case).to.equal('answer');
    expect(await stream.exchange(stream.beat({ nonce }))).to.have.nested.property(
      'value.reason',
      RefusalReason.REPLAYED,
    );
  });

  it('end with a reason once Redis is gone: no nonce store, no heartbeat', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    expect((await stream.exchange(stream.beat())).case).to.equal('answer');
    await redis.stop();
    stream.push(stream.beat());
    const end = await stream.end();
    expect(end).to.be.instanceOf(ConnectError);
    const { code } = end as ConnectError;
    expect(code).to.equal(Code.Unavailable);
    const [info] = (end as ConnectError).findDetails(ErrorInfoSchema);
    expect(info?.reason).to.equal('NONCE_STORE_UNAVAILABLE');
  });
});
