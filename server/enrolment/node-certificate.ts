// The certificate of a node and all that goes with it.

import type { MessageInitShape } from '@bufbuild/protobuf';
import { deriveKeys } from '../../protocol/heartbeat/keys.ts';
import { serialBytesOfHex } from '../../protocol/identity/serial.ts';
import type { NodeIdentitySchema } from '#gen/gapjunction/node/v1/enrolment_pb';
import type { BoundCertificate } from '../nodes/node-store.ts';
import type { Authority, HeartbeatMaster } from '../secrets/secrets.ts';
import type { EnrolmentAnswer } from './enrolment.ts';

/** Valid a minute before it was made: clocks differ by as much (the heartbeat's window). */
const BACKDATED_MS = 60_000;

/** CN = node id, one URI name, clientAuth. Of the request only the public key is taken. */
export async function issueNodeCertificate(
  authority: Authority,
  request: {
    readonly nodeId: string;
    readonly publicKeySpki: Uint8Array;
    readonly nowMs: number;
    readonly lifeMs: number;
  },
): Promise<BoundCertificate> {
  const { nodeId, publicKeySpki, nowMs, lifeMs } = request;
  const issued = await authority.issue({
    publicKeySpki,
    commonName: nodeId,
    spiffePath: `node/${nodeId}`,
    usage: 'client',
    notBeforeMs: nowMs - BACKDATED_MS,
    notAfterMs: nowMs + lifeMs,
  });
  const [, issuerCertificate] = issued.chain;
  if (issuerCertificate === undefined) {
    throw new Error(`issuing a certificate for '${nodeId}': the chain has no issuer`);
  }
  const { certificate, keyId, serial, notAfterMs } = issued;
  return { certificate, issuerCertificate, keyId, serial, notAfterMs };
}

/** All that a node needs to act as itself; the heartbeat keys are derived anew, not stored. */
export async function nodeIdentity(
  heartbeatMaster: HeartbeatMaster,
  { nodeId, certificate, issuerCertificate, serial }: EnrolmentAnswer,
  renewalCounter: bigint,
): Promise<MessageInitShape<typeof NodeIdentitySchema>> {
  const keys = await deriveKeys((bytes) => heartbeatMaster.hmac(bytes), {
    nodeId,
    serial: serialBytesOfHex(serial),
  });
  return {
    nodeId,
    certificateChain: [certificate, issuerCertificate],
    heartbeatKeys: {
      keyId: heartbeatMaster.keyId,
      nodeToControlPlane: keys.up,
      controlPlaneToNode: keys.down,
    },
    renewalCounter,
  };
}
