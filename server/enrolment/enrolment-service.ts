// EnrolmentService: proto in, the enrolment's steps, proto out.

import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  EnrolmentService,
  ProofChannel as ProofChannelMessage,
  type EnrolRequest,
} from '#gen/gapjunction/node/v1/enrolment_pb';
import { sameBytes } from '../../protocol/bill/digest.ts';
import { parseCertificateRequest } from '../certificates/certificate-request.ts';
import type { EnrolmentLimit } from '../rpc/limits.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import type { HeartbeatMaster } from '../secrets/secrets.ts';
import { bind, type BindingDeps } from './binding.ts';
import { connect, requireVerified, type ConnectionDeps } from './connection.ts';
import { findEnrolment, openEnrolment } from './enrolment-store.ts';
import {
  makeState,
  returnCodeDigest,
  secretDigest,
  type OpenEnrolment,
  type ProofChannel,
} from './enrolment.ts';
import { nodeIdentity } from './node-certificate.ts';
import { checkOldCertificate } from './old-certificate.ts';
import { codeUnknown, keyMismatch, stateUnknown } from './refusal.ts';
import { renew } from './renewal.ts';

export interface EnrolmentDeps extends BindingDeps, ConnectionDeps {
  readonly heartbeatMaster: HeartbeatMaster;
  /** Per key; the address was counted before. */
  readonly limit: EnrolmentLimit;
  /** Stripe may redirect to `http://127.0.0.1:PORT/`: the simulator and test mode may, live mode not. */
  readonly loopbackRedirects: boolean;
  /** Where the return page is, `https://HOST`; asked for late, since its port may be a free one. */
  readonly publicUrl: () => string;
}

export const RETURN_PATH = '/stripe/return';

export function enrolmentService(deps: EnrolmentDeps): ServiceImplementation {
  const { store, stripe, heartbeatMaster } = deps;
  return implement(EnrolmentService, {
    async startEnrolment({ publicKeySha256, loopbackPort }, { address }) {
      await deps.limit(address, publicKeySha256);
      const state = makeState(deps.randomBytes);
      const channel: ProofChannel =
        deps.loopbackRedirects && loopbackPort !== 0 ? 'loopback' : 'return_code';
      const redirectUri =
        channel === 'loopback'
          ? `http://127.0.0.1:${loopbackPort}/`
          : new URL(RETURN_PATH, deps.publicUrl()).href;
      const expiresMs = await store.transaction((em) =>
        openEnrolment(em, {
          stateDigest: secretDigest(state),
          keyDigest: publicKeySha256,
          channel,
        }),
      );
      return {
        connectUrl: stripe.authorizeUrl({ state, redirectUri }),
        state,
        expiresAt: timestampFromMs(expiresMs),
        proofChannel: CHANNEL[channel],
      };
    },

    async enrol(request, { address }) {
      const certificateRequest = await parseCertificateRequest(request.csr);
      await deps.limit(address, certificateRequest.keyId);
      const stateDigest = secretDigest(request.state);
      const enrolment = await store.read((em) => findEnrolment(em, stateDigest));
      if (enrolment === null) throw stateUnknown();
      if (!sameBytes(enrolment.keyDigest, certificateRequest.keyId)) throw keyMismatch();
      if (enrolment.answer !== null) {
        return { identity: await nodeIdentity(heartbeatMaster, enrolment.answer, 0n) };
      }
      const accountId = await provedAccount(deps, enrolment, request);
      await requireVerified(stripe, accountId);
      const answer = await bind(deps, {
        stateDigest,
        accountId,
        request: certificateRequest,
        replace: request.replace,
        provedOldKey: request.proof.case === 'oldCertificate',
      });
      return { identity: await nodeIdentity(heartbeatMaster, answer, 0n) };
    },

    async renew(request, context) {
      const caller = callerOf(context, 'node');
      const certificateRequest = await parseCertificateRequest(request.csr);
      const answer = await renew(deps, {
        nodeId: caller.nodeId,
        counter: request.renewalCounter,
        request: certificateRequest,
        callerKeyId: caller.keyId,
      });
      return { identity: await nodeIdentity(heartbeatMaster, answer, request.renewalCounter) };
    },
  });
}

const CHANNEL: Readonly<Record<ProofChannel, ProofChannelMessage>> = {
  loopback: ProofChannelMessage.LOOPBACK,
  return_code: ProofChannelMessage.RETURN_CODE,
};

/** The account that the proof stands for. */
async function provedAccount(
  deps: EnrolmentDeps,
  enrolment: OpenEnrolment,
  { proof, state, csr }: EnrolRequest,
): Promise<string> {
  switch (proof.case) {
    case 'stripeCode':
      // Where Stripe's answer goes to the return page, no agent has a code to bring.
      if (enrolment.channel !== 'loopback') throw codeUnknown('Stripe');
      return connect(deps, enrolment, proof.value);
    case 'returnCode':
      if (
        enrolment.connection === null ||
        enrolment.returnCodeDigest === null ||
        !sameBytes(enrolment.returnCodeDigest, returnCodeDigest(proof.value))
      ) {
        throw codeUnknown('return');
      }
      return enrolment.connection.accountId;
    case 'oldCertificate': {
      const { certificate, signature } = proof.value;
      const { accountId } = await checkOldCertificate(deps.store, {
        certificate,
        signature,
        state,
        csr,
        newKeyDigest: enrolment.keyDigest,
        nowMs: deps.clock.now(),
      });
      return accountId;
    }
    case undefined:
      throw codeUnknown('Stripe');
    default:
      return proof satisfies never;
  }
}
