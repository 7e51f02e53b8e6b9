// What a node signs with the key of its expired certificate, so that a machine that was off for a weekend
// comes back without a browser.

import { lengthPrefixed, utf8 } from '../bytes.ts';

/**
 * `"gap-junction/enrol-old-certificate/v1\n" || LP(state) || LP(csr)`: the signature holds for this one
 * enrolment and this one new key. `csr` is the request's DER as sent.
 */
export function oldCertificateMessage({
  state,
  csr,
}: {
  readonly state: string;
  readonly csr: Uint8Array;
}): Uint8Array {
  return Buffer.concat([
    utf8('gap-junction/enrol-old-certificate/v1\n'),
    lengthPrefixed(utf8(state)),
    lengthPrefixed(csr),
  ]);
}
