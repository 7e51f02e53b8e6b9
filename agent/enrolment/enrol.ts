// Enrolment as the agent does it: a key that stays here, an account that the owner connects in a browser,
// a certificate for that key. Every call is repeated with the same key and state until it is answered.
import { ConnectError, type Client } from '@connectrpc/connect';
import type { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';

import {
  EnrolmentService,
  ProofChannel,
  type EnrolRequest,
  type EnrolResponse,
  type StartEnrolmentResponse,
} from '#gen/gapjunction/node/v1/enrolment_pb';
import { keyFingerprint } from '../../protocol/identity/key-fingerprint.ts';
import { oldCertificateMessage } from '../../protocol/identity/old-certificate.ts';
import type { Clock, Random } from '../clock.ts';
import { addressText, type Address } from '../control-plane/address.ts';
import { connectTo, fetchRoot, type Connection } from '../control-plane/connection.ts';
import { handshakeTimeoutMs } from '../control-plane/reconnect.ts';
import { factOf, failureText, reasonOf } from '../control-plane/rpc-failure.ts';
import { AgentError } from '../error.ts';
import type { TellEvent } from '../events.ts';
import type { AgentFolder } from '../folder.ts';
import { certificateRequest } from '../identity/certificate-request.ts';
import { acceptIssued, identityOfRecord, type NodeIdentity } from '../identity/identity.ts';
import { erasePending, writeIdentity } from '../identity/identity-file.ts';
import {
  eraseNodeKey,
  eraseOtherKeys,
  generateNodeKey,
  storeNodeKey,
} from '../identity/node-key.ts';
import type { NodeKey } from '../identity/node-key.ts';
import type { RootPin } from '../identity/pinned-root.ts';
import { listenOnLoopback, type LoopbackListener } from './loopback-listener.ts';
import { untilAnswered } from './retry.ts';

/** A state lives for 10 minutes; counted here, since this machine's clock may be off. */
const STATE_LIFE_MS = 600_000;

export interface EnrolOptions {
  readonly folder: AgentFolder;
  /** Replicas of the control plane; at least one. */
  readonly addresses: readonly Address[];
  readonly pin: RootPin;
  /** Take over the node that the account already has. */
  readonly replace: boolean;
  /** The node's expired identity: proves who it is without a browser. */
  readonly old: NodeIdentity | null;
  /** Ask for a code to paste instead of a redirect to this machine. */
  readonly returnCode: boolean;
  /** Reads the pasted code. */
  readonly readReturnCode: (signal: AbortSignal) => Promise<string>;
  readonly tell: TellEvent;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

type Proof = EnrolRequest['proof'];

/** A connection to one replica at a time: any of them goes on with an enrolment that another began. */
class Replicas {
  readonly #addresses: readonly Address[];
  readonly #root: X509Certificate;
  #index = 0;
  #current: Connection;

  constructor(addresses: readonly Address[], root: X509Certificate) {
    this.#addresses = addresses;
    this.#root = root;
    this.#current = this.#connect();
  }

  get current(): Connection {
    return this.#current;
  }

  moveOn(): void {
    if (this.#addresses.length === 1) return;
    this.#current.close();
    this.#index = (this.#index + 1) % this.#addresses.length;
    this.#current = this.#connect();
  }

  #connect(): Connection {
    const address = this.#addresses[this.#index];
    if (address === undefined) throw new RangeError(`There is no address ${this.#index}`);
    return connectTo(address, {
      root: this.#root,
      certificate: null,
      handshakeTimeoutMs: handshakeTimeoutMs({ failedAttempts: 0 }, this.#addresses.length),
    });
  }
}

/**
 * Enrols this machine and answers its identity, which is on disk by then.
 * Throws AgentError: CONTROL_PLANE_UNREACHABLE, CONTROL_PLANE_UNTRUSTED, ENROLMENT_REFUSED with what to
 * do next, ENROLMENT_TIMED_OUT when the owner did not come back within 10 minutes.
 */
export async function enrol(options: EnrolOptions): Promise<NodeIdentity> {
  const { folder, clock } = options;
  const { root, addresses } = await reach(options);
  const replicas = new Replicas(addresses, root);
  const key = generateNodeKey();
  storeNodeKey(folder.keyFolder, key);
  try {
    const answer = await obtain(options, { key, replicas });
    const issued = acceptIssued(answer.identity, {
      root,
      key,
      now: clock.now(),
      expectedNodeId: options.old?.nodeId ?? null,
    });
    const record = {
      version: 1 as const,
      addresses: options.addresses.map(addressText),
      root: new Uint8Array(root.raw),
      ...issued,
      retired: [],
    };
    writeIdentity(folder, record);
    erasePending(folder);
    eraseOtherKeys(folder.keyFolder, [key.keyId]);
    const identity = identityOfRecord(folder, record);
    options.tell({
      event: 'enrolled',
      nodeId: identity.nodeId,
      certificateExpiresAtMs: identity.certificate.notAfterMs,
    });
    return identity;
  } catch (error) {
    eraseNodeKey(folder.keyFolder, key.keyId);
    throw explain(error, replicas.current.distrust());
  } finally {
    replicas.current.close();
  }
}

/** The pinned root as the first replica that answers presents it, and all replicas from that one on. */
async function reach({
  addresses,
  pin,
}: EnrolOptions): Promise<{ root: X509Certificate; addresses: readonly Address[] }> {
  let failure: unknown = new AgentError('OPTION_REFUSED', 'enrolling: give --address host:port');
  for (const [index, address] of addresses.entries()) {
    try {
      const timeoutMs = handshakeTimeoutMs({ failedAttempts: 0 }, addresses.length);
      const root = await fetchRoot(address, pin, timeoutMs);
      return { root, addresses: [...addresses.slice(index), ...addresses.slice(0, index)] };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Start, proof, Enrol, within the life of the state. */
async function obtain(
  options: EnrolOptions,
  { key, replicas }: { readonly key: NodeKey; readonly replicas: Replicas },
): Promise<EnrolResponse> {
  const { clock, log } = options;
  const overtime = new AbortController();
  const signal = AbortSignal.any([options.signal, overtime.signal]);
  const stopTimer = clock.after(STATE_LIFE_MS, () => overtime.abort(timedOut()));
  const listener = options.old === null && !options.returnCode ? await listenOnLoopback() : null;
  const repeat = <T>(call: (client: Client<typeof EnrolmentService>) => Promise<T>) =>
    untilAnswered(() => call(replicas.current.client(EnrolmentService)), {
      clock,
      random: options.random,
      signal,
      isFinal: () => replicas.current.distrust() !== null,
      onFailure(error) {
        log.warn(
          { cause: failureText(error) },
          'enrolling: the control plane did not answer, trying again',
        );
        replicas.moveOn();
      },
    });
  try {
    const started = await repeat((client) =>
      client.startEnrolment(
        { publicKeySha256: key.keyId, loopbackPort: listener?.port ?? 0 },
        { signal },
      ),
    );
    const csr = await certificateRequest(key);
    const proof = await prove(options, { key, started, csr, listener, signal });
    return await repeat((client) =>
      client.enrol({ csr, state: started.state, proof, replace: options.replace }, { signal }),
    );
  } catch (error) {
    // An aborted call fails as Canceled; why it was aborted says more.
    throw signal.aborted ? signal.reason : error;
  } finally {
    stopTimer();
    await listener?.close();
  }
}

async function prove(
  options: EnrolOptions,
  {
    key,
    started,
    csr,
    listener,
    signal,
  }: {
    readonly key: NodeKey;
    readonly started: StartEnrolmentResponse;
    readonly csr: Uint8Array;
    readonly listener: LoopbackListener | null;
    readonly signal: AbortSignal;
  },
): Promise<Proof> {
  const { old, tell, clock } = options;
  if (old !== null) {
    const [certificate] = old.chain;
    if (certificate === undefined) throw new RangeError('An identity without certificate');
    const signature = old.key.sign(oldCertificateMessage({ state: started.state, csr }));
    return {
      case: 'oldCertificate',
      value: { $typeName: 'gapjunction.node.v1.OldCertificate', certificate, signature },
    };
  }
  tell({
    event: 'connect_url',
    url: started.connectUrl,
    expiresAtMs: clock.now() + STATE_LIFE_MS,
    keyFingerprint: keyFingerprint(key.keyId),
  });
  if (listener === null || started.proofChannel === ProofChannel.RETURN_CODE) {
    tell({ event: 'return_code_wanted' });
    return { case: 'returnCode', value: await options.readReturnCode(signal) };
  }
  const redirect = await listener.redirect(started.state, signal);
  if (redirect.kind === 'code') return { case: 'stripeCode', value: redirect.code };
  throw new AgentError(
    'ENROLMENT_REFUSED',
    `connecting a Stripe account: Stripe answered '${redirect.error}'${redirect.description === '' ? '' : ` (${redirect.description})`}; run 'agent enrol' again and accept`,
  );
}

const NEXT_STEP: Readonly<Record<string, string>> = {
  ALREADY_BOUND:
    "this Stripe account already has a node; to move that node to this machine (its older certificates end at once), run 'agent enrol --replace'",
  ACCOUNT_UNVERIFIED: 'finish the account at Stripe, then enrol again',
  STATE_UNKNOWN: "the 10 minutes are over; run 'agent enrol' again",
  CODE_UNKNOWN: "Stripe does not know this code; run 'agent enrol' again",
  CODE_USED: "this code was used before; run 'agent enrol' again",
  CERTIFICATE_UNUSABLE:
    "the old certificate cannot prove this node any more; run 'agent enrol --replace' and connect the account again",
};

function explain(error: unknown, distrust: string | null): unknown {
  if (distrust !== null) {
    return new AgentError(
      'CONTROL_PLANE_UNTRUSTED',
      `connecting to the control plane: ${distrust}; its certificate must lead to the pinned root and name the host in --address`,
      { cause: error },
    );
  }
  if (!(error instanceof ConnectError)) return error;
  const reason = reasonOf(error);
  const missing = factOf(error, 'missing');
  const next = NEXT_STEP[reason] ?? 'see the control plane log for this call';
  return new AgentError(
    'ENROLMENT_REFUSED',
    `enrolling: ${failureText(error)}${missing === null ? '' : `, missing: ${missing}`}; ${next}`,
    { cause: error },
  );
}

function timedOut(): AgentError {
  return new AgentError(
    'ENROLMENT_TIMED_OUT',
    "enrolling: no account was connected within 10 minutes; run 'agent enrol' again",
  );
}
