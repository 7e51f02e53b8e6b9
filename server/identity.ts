// Who a node is and whether it is heard: Stripe, the return page, nonces and the fleet, and the three
// services over them, in the order in which they start.

import { randomBytes, randomInt } from 'node:crypto';
import type { Revocations } from './certificates/revocations.ts';
import type { Clock } from './clock.ts';
import type { ServerConfig, StripeConfig } from './config.ts';
import type { OnError } from './failure-log.ts';
import { enrolmentService } from './enrolment/enrolment-service.ts';
import { startHttp } from './http/listener.ts';
import { Fleet } from './nodes/fleet.ts';
import { heartbeatService } from './nodes/heartbeat-service.ts';
import type { Metrics } from './metrics/metrics.ts';
import { nodeAdminService } from './nodes/node-admin-service.ts';
import type { EnrolmentLimit } from './rpc/limits.ts';
import type { ServiceImplementation } from './rpc/service.ts';
import type { Secrets } from './secrets/secrets.ts';
import type { Shared } from './shared.ts';
import type { Stops } from './stops.ts';
import type { Store } from './store/store.ts';
import { connectStripe, type StripeOptions } from './stripe/stripe.ts';

export interface IdentityOptions {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly onError: OnError;
  readonly store: Store;
  readonly shared: Shared;
  readonly secrets: Secrets;
  readonly revocations: Revocations;
  readonly limit: EnrolmentLimit;
  readonly metrics: Pick<Metrics, 'beatAccepted' | 'beatRefused'>;
  /** Takes what has to be stopped, should a later part fail to start. */
  readonly stops: Stops;
}

export interface Identity {
  readonly fleet: Fleet;
  readonly services: readonly ServiceImplementation[];
  /** Where browsers reach the return page. */
  readonly publicUrl: string;
}

const HOUR_MS = 3_600_000;

export async function startIdentity(options: IdentityOptions): Promise<Identity> {
  const { config, clock, onError, store, shared, secrets, revocations, limit, metrics, stops } =
    options;
  const { announcements, nonces } = shared;
  const { authority, heartbeatMaster } = secrets;
  const { baseIntervalMs, lostAfterIntervals, maxBeatsPerSecond } = config.heartbeat;
  const certificateLifeMs = config.certificates.nodeHours * HOUR_MS;

  const fleet = await Fleet.open({
    store,
    clock,
    announcements,
    baseIntervalMs,
    lostAfterIntervals,
    deafForMs: () => nonces.unavailableForMs(),
    onError,
  });
  stops.add(() => fleet.close());
  fleet.onBeat(() => metrics.beatAccepted());
  const stripe = connectStripe(stripeOptions(config.stripe));
  const { host, httpPort: port } = config;
  const http = await startHttp({ host, port, store, stripe, randomBytes, limit, onError });
  stops.add(() => http.stop());
  const publicUrl = config.publicUrl ?? http.url;

  return {
    fleet,
    publicUrl,
    services: [
      enrolmentService({
        store,
        clock,
        randomBytes,
        authority,
        heartbeatMaster,
        certificateLifeMs,
        revocations,
        fleet,
        stripe,
        limit,
        // Stripe itself redirects only to the addresses registered with it.
        loopbackRedirects: config.stripe.kind === 'simulator',
        publicUrl: () => publicUrl,
      }),
      heartbeatService({
        store,
        clock,
        randomBytes,
        random: () => randomInt(2 ** 32) / 2 ** 32,
        heartbeatMaster,
        certificateLifeMs,
        revocations,
        nonces,
        fleet,
        baseIntervalMs,
        maxBeatsPerSecond,
        onRefused: (reason) => metrics.beatRefused(reason),
      }),
      nodeAdminService({ store, fleet, revocations }),
    ],
  };
}

function stripeOptions(stripe: StripeConfig): StripeOptions {
  return stripe.kind === 'live'
    ? { secretKey: stripe.secretKey, clientId: stripe.clientId, simulatorUrl: null }
    : { secretKey: 'sk_test_simulator', clientId: 'ca_simulator', simulatorUrl: stripe.url };
}
