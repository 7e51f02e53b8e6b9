// A real control plane and the Stripe simulator in this process, for agents that are real too.
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import {
  systemClock,
  systemRandom,
  systemRandomBytes,
  type Clock,
  type Random,
} from '../../agent/clock.ts';
import { parseAddress, type Address } from '../../agent/control-plane/address.ts';
import { enrolFolder } from '../../agent/enrolment/enrol-folder.ts';
import type { EnrolOptions } from '../../agent/enrolment/enrol.ts';
import { runAgent } from '../../agent/agent.ts';
import type { AgentFolder } from '../../agent/folder.ts';
import type { NodeIdentity } from '../../agent/identity/identity.ts';
import { pinOfFingerprint } from '../../agent/identity/pinned-root.ts';
import { EventRecord, silentLog } from './agent.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from './control-plane.ts';

export interface AgentWorld {
  readonly controlPlane: ControlPlane;
  readonly simulator: StripeSimulator;
  stop(): Promise<void>;
}

export async function startAgentWorld(options: ControlPlaneOptions = {}): Promise<AgentWorld> {
  const simulator = await startStripeSimulator({ port: 0 });
  const controlPlane = await startControlPlane({
    ...options,
    settings: {
      stripeSimulatorUrl: simulator.url,
      // A test enrols more often than an owner.
      enrolmentBurstPerAddress: 1_000,
      enrolmentsPerAddressPerSecond: 1_000,
      ...options.settings,
    },
  });
  return {
    controlPlane,
    simulator,
    async stop() {
      await controlPlane.stop();
      await simulator.stop();
    },
  };
}

export interface EnrolChanges extends Partial<Omit<EnrolOptions, 'tell'>> {
  readonly accountName?: string;
  readonly decision?: 'connect' | 'deny';
  readonly record?: EventRecord;
}

/**
 * Enrols the folder, doing in the browser's place what its owner would; with `returnCode` the test does
 * that itself.
 */
export async function enrolIn(
  { controlPlane }: AgentWorld,
  folder: AgentFolder,
  { accountName = 'An owner', decision = 'connect', record, ...changes }: EnrolChanges = {},
): Promise<NodeIdentity> {
  const events = record ?? new EventRecord();
  const visit = async (): Promise<void> => {
    const { url } = await events.next('connect_url');
    if (changes.returnCode === true) return;
    const back = await connectAccount(url, { accountName, decision });
    await (await fetch(back)).text();
  };
  const enrolled = enrolFolder({
    folder,
    addresses: [parseAddress(controlPlane.server.address)],
    pin: pinOfFingerprint(controlPlane.server.caFingerprint),
    replace: false,
    returnCode: false,
    readReturnCode: () => Promise.reject(new Error('No code is wanted')),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    signal: new AbortController().signal,
    ...changes,
    tell: events.tell,
  });
  // Where enrolment fails before a URL is told, nobody visits it.
  await Promise.race([visit(), enrolled]);
  return enrolled;
}

export interface RunningAgent {
  readonly record: EventRecord;
  /** Settles when the agent has stopped. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Those that were not stopped by their test, which failed then. */
const running = new Set<RunningAgent>();

/** Ends what a test that failed left running: it would take the next test's jobs. */
export async function stopAgents(): Promise<void> {
  await Promise.allSettled([...running].map((agent) => agent.stop()));
}

export function startAgent(
  folder: AgentFolder,
  {
    slots = 1,
    addresses = null,
    graceMs = 5_000,
    clock = systemClock,
    random = systemRandom,
  }: {
    readonly slots?: number;
    /** Those that it enrolled at, otherwise. */
    readonly addresses?: readonly Address[] | null;
    readonly graceMs?: number;
    readonly clock?: Clock;
    readonly random?: Random;
  } = {},
): RunningAgent {
  const record = new EventRecord();
  const stopping = new AbortController();
  const ended = runAgent({
    folder,
    addresses,
    slots,
    graceMs,
    clock,
    random,
    randomBytes: systemRandomBytes,
    tell: record.tell,
    log: silentLog,
    signal: stopping.signal,
  });
  const agent: RunningAgent = {
    record,
    ended,
    async stop() {
      running.delete(agent);
      stopping.abort();
      await ended;
    },
  };
  running.add(agent);
  return agent;
}
