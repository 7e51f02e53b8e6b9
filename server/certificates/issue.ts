// A certificate for a holder of ours: issued, written down, audited, in one transaction's reach.
import { spiffeUri } from '../../protocol/identity/spiffe.ts';
import type { Authority, IssuedCertificate } from '../secrets/secrets.ts';
import type { Holder } from './certificate-store.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Of clients and operators; nodes live a day. */
export const PERSON_CERTIFICATE_DAYS = 90;

/** Clocks that are a little behind must not refuse what was just made. */
const BACKDATE_MS = 5 * 60 * 1000;

/** Issues a client-authentication certificate whose common name and one URI name the holder. */
export async function issueHolderCertificate(
  authority: Authority,
  request: {
    readonly holder: Holder;
    readonly publicKeySpki: Uint8Array;
    readonly nowMs: number;
    readonly lifeMs?: number;
  },
): Promise<IssuedCertificate> {
  const { holder, nowMs } = request;
  const uri = spiffeUri(authority.trustDomain, holder);
  return authority.issue({
    publicKeySpki: request.publicKeySpki,
    commonName: holder.id,
    spiffePath: uri.slice(`spiffe://${authority.trustDomain}/`.length),
    usage: 'client',
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + (request.lifeMs ?? PERSON_CERTIFICATE_DAYS * DAY_MS),
  });
}
