// When a node renews its certificate.

export interface Validity {
  /** Unix milliseconds. */
  readonly notBeforeMs: number;
  /** Unix milliseconds. */
  readonly notAfterMs: number;
}

/** Half of the life leaves the other half to retry in, and a day-old fleet renews 1.3 times a day. */
const RENEW_AT = 0.5;

/** Of that half: nodes that enrolled together do not renew together. */
const RENEW_JITTER = 0.1;

/**
 * When to renew, in Unix milliseconds: at half of the certificate's life, give or take a tenth of that
 * half. `random` is one fraction in [0, 1) drawn for this certificate.
 */
export function renewalTimeMs({ notBeforeMs, notAfterMs }: Validity, random: number): number {
  const lifeMs = notAfterMs - notBeforeMs;
  return notBeforeMs + lifeMs * RENEW_AT * (1 + RENEW_JITTER * (2 * random - 1));
}

/** How long after its end an old certificate still proves who a node is. */
export const OLD_CERTIFICATE_DAYS = 7;
const MS_PER_DAY = 86_400_000;

export type Standing = 'valid' | 'recoverable' | 'ended';

/** What a certificate is good for: everything, enrolling again without a browser, or nothing. */
export function certificateStanding(now: number, { notAfterMs }: Validity): Standing {
  if (now < notAfterMs) return 'valid';
  return now < notAfterMs + OLD_CERTIFICATE_DAYS * MS_PER_DAY ? 'recoverable' : 'ended';
}
