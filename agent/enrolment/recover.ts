// A node whose certificate ended while its machine was off comes back by itself, for a week.
import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';

import type { Clock, Random } from '../clock.ts';
import { parseAddress, type Address } from '../control-plane/address.ts';
import { AgentError } from '../error.ts';
import type { TellEvent } from '../events.ts';
import type { AgentFolder } from '../folder.ts';
import { openIdentity, type NodeIdentity } from '../identity/identity.ts';
import { certificateStanding } from '../identity/renewal.ts';
import { enrol } from './enrol.ts';

export interface RecoverOptions {
  readonly folder: AgentFolder;
  readonly addresses: readonly Address[] | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: TellEvent;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * The node's identity with a certificate that is valid now: as it is on disk, or enrolled again with the
 * old certificate where that ended at most 7 days ago. Throws AgentError IDENTITY_EXPIRED for an older one.
 */
export async function recoverIdentity(options: RecoverOptions): Promise<NodeIdentity> {
  const { folder, clock, random, tell, log, signal } = options;
  const identity = openIdentity(folder);
  const endedAt = new Date(identity.certificate.notAfterMs).toISOString();
  const standing = certificateStanding(clock.now(), identity.certificate);
  switch (standing) {
    case 'valid':
      return identity;
    case 'recoverable':
      log.info(
        { nodeId: identity.nodeId, endedAt },
        'the certificate has ended, enrolling again with it',
      );
      return await enrol({
        folder,
        addresses: options.addresses ?? identity.record.addresses.map(parseAddress),
        pin: { kind: 'certificate', root: new X509Certificate(identity.record.root) },
        replace: false,
        old: identity,
        returnCode: false,
        readReturnCode: () => Promise.reject(new RangeError('An old certificate needs no code')),
        tell,
        clock,
        random,
        log,
        signal,
      });
    case 'ended':
      throw new AgentError(
        'IDENTITY_EXPIRED',
        `running the node '${identity.nodeId}': its certificate ended at ${endedAt}, more than 7 days ago; run 'agent enrol --replace' and connect the account again`,
      );
    default:
      return standing satisfies never;
  }
}
