// From the queue to the settlement: the parts, how they hang together, and their start and stop.
import { makeId } from '../../protocol/identity/ids.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { CertificateChains } from '../bills/certificate-chains.ts';
import { DEFAULT_QUOTA } from '../clients/quota.ts';
import type { Clock } from '../clock.ts';
import type { Announcements } from '../jobs/announcements.ts';
import { NOBODY, type JobObserver } from '../jobs/job-observer.ts';
import { DEFAULT_MAX_ATTEMPTS } from '../jobs/jobs.ts';
import type { Logs } from '../logs/logs.ts';
import { RpcError } from '../rpc/error.ts';
import type { ServiceImplementation } from '../rpc/service.ts';
import type { Signer } from '../secrets/secrets.ts';
import { databaseNowMs } from '../store/now.ts';
import type { Store } from '../store/store.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { Completion } from './completion.ts';
import { Dispatch } from './dispatch.ts';
import { dispatchService } from './dispatch-service.ts';
import { Leases } from './leases.ts';
import { NodeKeys } from './node-keys.ts';
import { OrderSender } from './order-sender.ts';
import { ACKNOWLEDGE_MS, Placer } from './placer.ts';
import { Pulse } from './pulse.ts';
import { SettlementSigning } from './settlement-signing.ts';
import { Sweep, SWEEP_INTERVAL_MS } from './sweep.ts';
import { DEFAULT_TRANSFER_GRACE_MS } from './work-order.ts';
import { WorkStreams } from './work-stream.ts';

/** What placement asks of the fleet. A listener's promise is waited for. */
export interface PlacementFleet {
  /** Live and enrolled: neither draining nor revoked. */
  mayTakeWork(nodeId: string): boolean;
  /** All that may take work, whichever replica they are connected to. */
  workingNodes(): readonly string[];
  isLive(nodeId: string): boolean;
  onLost(listener: (nodeId: string) => Promise<void>): () => void;
  onRevoked(listener: (nodeId: string) => Promise<void>): () => void;
  onBeat(
    listener: (nodeId: string, beat: { readonly attemptIds: readonly string[] }) => void,
  ): () => void;
}

export interface PlacementOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly blobs: Pick<Blobs, 'put' | 'claimOutput' | 'endJob' | 'readAll'>;
  readonly logs: Pick<Logs, 'append'>;
  readonly fleet: PlacementFleet;
  readonly signer: Signer;
  /** 32 bytes. */
  readonly isolationSecret: Uint8Array;
  readonly isRevoked: (serial: string) => boolean;
  readonly announcements: Announcements;
  /** How long a node may be silent before it is lost, at the base interval. */
  readonly lostPeriodMs: number;
  readonly maxAttempts?: number;
  readonly transferGraceMs?: number;
  /** Jobs that one client may have in flight, where it has no quota of its own. */
  readonly jobsInFlight?: number;
  readonly observer?: JobObserver;
  readonly onError: (doing: string, cause: unknown) => void;
}

export interface Placement {
  readonly service: ServiceImplementation;
  /** For BlobService: what a lease lets its node read and upload. */
  readonly leases: Leases;
  /** One sweep now; it also runs by itself each second. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

export async function openPlacement(options: PlacementOptions): Promise<Placement> {
  const { store, clock, blobs, fleet, announcements, onError, isRevoked } = options;
  const chains = new CertificateChains(store);
  const signer = {
    keyId: options.signer.keyId,
    chain: options.signer.chain,
    chainDigest: await chains.keep(options.signer.chain),
  };
  const streams = new WorkStreams();
  const observer = options.observer ?? NOBODY;
  const maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
  const leases = new Leases({ store, blobs, announcements, streams, maxAttempts, observer });
  const signing = new SettlementSigning(store, options.signer, announcements);
  const sender = new OrderSender(options.signer, (digest, maxBytes) =>
    blobs.readAll(digest, maxBytes),
  );
  const placer = new Placer({
    store,
    streams,
    sender,
    announcements,
    mayTakeWork: (nodeId) => fleet.mayTakeWork(nodeId),
    workingNodes: () => fleet.workingNodes(),
    signer,
    isolationSecret: options.isolationSecret,
    transferGraceMs: options.transferGraceMs ?? DEFAULT_TRANSFER_GRACE_MS,
    jobsInFlight: options.jobsInFlight ?? DEFAULT_QUOTA.jobsInFlight,
    newAttemptId: () => makeId('a', options.random),
    observer,
    onError,
  });
  const acknowledgements = new Acknowledgements({ store, leases, clock });
  const dispatch = new Dispatch({
    store,
    chains,
    streams,
    sender,
    placer,
    leases,
    acknowledgements,
    announcements,
    onError,
  });
  const keys = new NodeKeys();
  const completion = new Completion({
    store,
    blobs,
    keys,
    isRevoked,
    leases,
    acknowledgements,
    signing,
    signer,
    maxAttempts,
    observer,
    onError,
  });

  const startedMs = await store.read(databaseNowMs);
  await leases.load();
  const sweep = new Sweep({
    store,
    clock,
    leases,
    dispatch,
    placer,
    signing,
    announcements,
    isLive: (nodeId) => fleet.isLive(nodeId),
    startedMs,
    lostPeriodMs: options.lostPeriodMs,
    onError,
  });
  const pulse = new Pulse({
    clock,
    longestGapMs: ACKNOWLEDGE_MS,
    onGap: (gapMs) => dispatch.endAll(stoodStill(gapMs)),
  });
  placer.beforeEachBatch(() => pulse.check());
  const stops = [
    () => pulse.close(),
    clock.every(SWEEP_INTERVAL_MS, () => void sweep.run()),
    fleet.onLost((nodeId) => leases.endLeasesOf(nodeId, 'NODE_LOST')),
    fleet.onRevoked((nodeId) => leases.endLeasesOf(nodeId, 'NODE_REVOKED')),
    fleet.onBeat((nodeId, { attemptIds }) => {
      leases
        .beat(nodeId, attemptIds)
        .catch((cause: unknown) => onError(`failing what '${nodeId}' does not hold`, cause));
    }),
  ];
  // Heals what a crash left: the first sweep signs what is not signed.
  await sweep.run();

  return {
    service: dispatchService(dispatch, completion, options.logs),
    leases,
    sweep: () => sweep.run(),
    async close() {
      for (const stop of stops) stop();
      await sweep.close();
      await placer.close();
      await acknowledgements.close();
    },
  };
}

/** Its nodes may work for other replicas by now, and what they offered is gone. */
function stoodStill(gapMs: number): RpcError {
  return new RpcError(
    'UNAVAILABLE',
    'REPLICA_STOOD_STILL',
    `working: this replica stood still for ${gapMs} ms; open another stream`,
  );
}
