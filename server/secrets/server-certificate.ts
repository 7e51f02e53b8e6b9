// The certificate of the control plane's own port. Its key lives in this process alone and is made anew
// with each certificate; callers check the chain to the root that they pin, and the name.
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { TlsMaterial } from '../rpc/listener.ts';
import { makeKey } from './issue.ts';
import { certificatePem } from './pem.ts';
import type { Authority } from './secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

const CERTIFICATE_DAYS = 30;

/** Halfway, so that a failure to renew has 15 days to be noticed. */
const RENEW_INTERVAL_MS = (CERTIFICATE_DAYS / 2) * DAY_MS;

/** How soon a failed renewal is tried again. */
const RETRY_INTERVAL_MS = 60 * 60 * 1000;

const BACKDATE_MS = 5 * 60 * 1000;

export interface ServerNames {
  /** Under which callers may reach the port. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

export async function issueServerCertificate(
  authority: Authority,
  names: ServerNames,
  nowMs: number,
): Promise<TlsMaterial> {
  const key = await makeKey();
  const intermediate = new X509Certificate(authority.intermediateCertificate);
  const issued = await authority.issue({
    publicKeySpki: key.publicKeySpki,
    commonName: 'Gap Junction control plane',
    spiffePath: 'control-plane/server',
    usage: 'server',
    ...names,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: Math.min(nowMs + CERTIFICATE_DAYS * DAY_MS, intermediate.validToDate.getTime()),
  });
  return {
    // With the root: an agent that pins it by fingerprint alone finds it here.
    certificateChain: [...issued.chain, authority.rootCertificate].map(certificatePem).join(''),
    privateKey: key.pem,
    authorities: [authority.rootCertificate, authority.intermediateCertificate].map(certificatePem),
  };
}

/** Issues a new one at half of the old one's life and hands it over, until the returned function is called. */
export function keepServerCertificateFresh(options: {
  readonly issue: (nowMs: number) => Promise<TlsMaterial>;
  readonly clock: Clock;
  readonly use: (tls: TlsMaterial) => void;
  readonly onError: (cause: unknown) => void;
}): () => void {
  let dueMs = options.clock.now() + RENEW_INTERVAL_MS;
  async function renew(nowMs: number): Promise<void> {
    try {
      options.use(await options.issue(nowMs));
      dueMs = nowMs + RENEW_INTERVAL_MS;
    } catch (cause) {
      options.onError(cause);
    }
  }
  return options.clock.every(RETRY_INTERVAL_MS, () => {
    const nowMs = options.clock.now();
    if (nowMs >= dueMs) void renew(nowMs);
  });
}
