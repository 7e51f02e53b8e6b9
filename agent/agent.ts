// The agent: a list of what runs, from start to stop.
import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';

import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import {
  GJ_0_DIGEST_HEX,
  GJ_0_PROFILE,
  MAX_INPUT_BYTES,
  MAX_MODULE_BYTES,
  SandboxPool,
} from '../sandbox/sandbox.ts';
import { pause, type Clock, type Random, type RandomBytes } from './clock.ts';
import { addressText, parseAddress, type Address } from './control-plane/address.ts';
import type { connectTo } from './control-plane/connection.ts';
import { Uplink } from './control-plane/uplink.ts';
import type { TellEvent } from './events.ts';
import { lockFolder, type AgentFolder } from './folder.ts';
import { recoverIdentity } from './enrolment/recover.ts';
import { signingKeyOf } from './identity/identity.ts';
import { Attempts } from './jobs/attempts.ts';
import { BillStore } from './jobs/bill-store.ts';
import { Delivery } from './jobs/delivery.ts';
import { Journal } from './jobs/journal.ts';
import { ModuleStore } from './jobs/module-store.ts';
import { ENGINE } from './jobs/receipt.ts';
import { Signers } from './jobs/signers.ts';
import type { Labels } from './labels.ts';
import { mostLimits, processUse } from './machine.ts';
import { StatusFile } from './status.ts';
import { AGENT_VERSION } from './version.ts';

/** What the sandbox keeps to; an order under another document is refused. */
const PROFILES: ReadonlyMap<string, Uint8Array> = new Map([
  [GJ_0_PROFILE, Buffer.from(GJ_0_DIGEST_HEX, 'hex')],
]);

/** A warm sandbox saves its client 50 ms; an idle one costs the owner 60 MB. */
const SANDBOX_IDLE_MS = 60_000;

export interface AgentOptions {
  readonly folder: AgentFolder;
  /** Replicas to use instead of those that the node enrolled at. */
  readonly addresses: readonly Address[] | null;
  /** Guests at a time. */
  readonly slots: number;
  /** What the owner says of the machine; jobs may ask for it. Default none. */
  readonly labels?: Labels;
  /** How long guests may finish after a stop was asked for. */
  readonly graceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: RandomBytes;
  readonly tell: TellEvent;
  readonly log: Logger;
  /** Asks the agent to stop. */
  readonly signal: AbortSignal;
  /** What a simulation puts in the place of network, sandbox and files. */
  readonly parts?: Partial<AgentParts>;
}

/** The agent's edges. */
export interface AgentParts {
  readonly connect: typeof connectTo;
  readonly pool: Pick<SandboxPool, 'run' | 'close'>;
  readonly journal: Journal;
  readonly bills: BillStore;
}

/**
 * Runs the node in this folder until the signal is aborted and what ran has ended. Throws AgentError:
 * FOLDER_IN_USE, NOT_ENROLLED, IDENTITY_DAMAGED, IDENTITY_EXPIRED, NODE_NOT_ALLOWED, NODE_SUPERSEDED.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const unlock = lockFolder(options.folder);
  try {
    await runLocked(options);
  } finally {
    unlock();
  }
}

/** The same for a caller that sees to it that no other agent works in the folder. */
export async function runLocked(options: AgentOptions): Promise<void> {
  const {
    folder,
    slots,
    labels = {},
    clock,
    random,
    randomBytes,
    tell,
    log,
    signal,
    parts,
  } = options;
  const identity = await recoverIdentity(options);
  const addresses = options.addresses ?? identity.record.addresses.map(parseAddress);
  const introduction = { labels, isolationLevel: IsolationLevel.PROCESS };
  const uplink = new Uplink({
    folder,
    identity,
    addresses,
    introduction,
    clock,
    random,
    randomBytes,
    tell,
    log,
    slots,
    ...(parts?.connect === undefined ? {} : { connect: parts.connect }),
  });
  const signers = new Signers(identity);
  const journal = parts?.journal ?? new Journal(folder.journalFolder);
  const bills = parts?.bills ?? new BillStore(folder.billFolder);
  // Ends when nothing is left to hand in, or the grace is over.
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const pool =
    parts?.pool ??
    new SandboxPool({
      maxProcesses: slots,
      idleMs: SANDBOX_IDLE_MS,
      onProcessLog: (text) => log.warn({ text: text.slice(0, 2_000) }, 'a sandbox process said'),
    });
  const delivery = new Delivery({
    link: uplink,
    journal,
    bills,
    signers,
    clock,
    random,
    tell,
    log,
    signal: ending.signal,
  });
  const attempts = new Attempts({
    slots,
    terms: {
      nodeId: identity.nodeId,
      signers,
      signingKeyOf: (keyId) => signingKeyOf(uplink.identity, keyId),
      profiles: PROFILES,
      mostLimits: mostLimits(),
      mostModuleBytes: MAX_MODULE_BYTES,
      mostInputBytes: MAX_INPUT_BYTES,
    },
    pool,
    modules: new ModuleStore(folder.moduleFolder),
    journal,
    delivery,
    link: uplink,
    clock,
    random,
    tell,
    log,
    signal: ending.signal,
  });
  const use = processUse(clock);
  const status = new StatusFile(folder, log);
  const linked = uplink.run(
    {
      content: () => ({
        slots,
        attemptIds: attempts.heldIds,
        fuelSinceStart: attempts.fuelSinceStart,
        ...use(),
        agentVersion: AGENT_VERSION,
        engineVersion: `${ENGINE.name} ${ENGINE.version}`,
        isolationLevel: introduction.isolationLevel,
      }),
      take: (order) => attempts.take(order),
      cancel: (attemptId) => attempts.stop(attemptId, 'cancelled'),
      freeSlots: () => attempts.freeSlots,
      holdsLease: () => attempts.heldIds.length > 0,
      namesKey: (keyId) => attempts.namesKey(keyId),
      onBeat(now, address) {
        status.write({
          nodeId: identity.nodeId,
          pid: process.pid,
          address: addressText(address),
          slots,
          lastBeatMs: now,
          certificateExpiresAtMs: uplink.identity.certificate.notAfterMs,
          attemptIds: attempts.heldIds,
          fuelSinceStart: String(attempts.fuelSinceStart),
        });
      },
      onLeasesLost: () => attempts.stopAll('lease-lost'),
      onDrainWish: (isWished) => attempts.pause(isWished),
    },
    ending.signal,
  );
  const idle = Promise.withResolvers<void>();
  attempts.onChange = () => {
    uplink.changed();
    if (signal.aborted && attempts.heldIds.length === 0) idle.resolve();
  };
  attempts.onProgress = (attemptId, fuel) => uplink.progress(attemptId, fuel);
  attempts.resume();
  const stopping = stopGently({ signal, attempts, idle: idle.promise, options });
  try {
    await Promise.race([linked, stopping]);
  } finally {
    ending.abort(new Error('The agent stops'));
    await pool.close();
    await linked.catch(() => {});
    bills.close();
    journal.close();
  }
  tell({ event: 'stopped', nodeId: identity.nodeId });
}

/** After the signal: nothing new, guests may finish, then they are stopped and reported. */
async function stopGently({
  signal,
  attempts,
  idle,
  options: { clock, graceMs, log },
}: {
  readonly signal: AbortSignal;
  readonly attempts: Attempts;
  readonly idle: Promise<void>;
  readonly options: AgentOptions;
}): Promise<void> {
  await aborted(signal);
  log.info(
    { held: attempts.heldIds.length, graceMs },
    'stopping: no new jobs, running ones may finish',
  );
  const enough = new AbortController();
  void idle.then(() => enough.abort());
  attempts.drain();
  await pause(clock, graceMs, enough.signal);
  if (attempts.heldIds.length === 0) return;
  log.warn({ attemptIds: attempts.heldIds }, 'stopping: these did not finish in time');
  attempts.stopAll('agent-stopping');
  await pause(clock, STOP_REPORT_MS, enough.signal);
}

/** Time for stopped guests to be reported; what is not reported goes missing from the beats. */
const STOP_REPORT_MS = 5_000;

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
