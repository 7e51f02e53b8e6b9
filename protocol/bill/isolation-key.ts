import { createHmac, type KeyObject } from 'node:crypto';
import { lengthPrefixed, utf8 } from '../bytes.ts';

/**
 * A client's pseudonym at one node, 32 bytes: HMAC-SHA256(secret, LP(client id) || LP(node id)). Guests of
 * different keys never share a process; two nodes cannot tell that they work for the same client. The
 * secret is the control plane's, 32 bytes.
 */
export function isolationKey(
  secret: KeyObject | Uint8Array,
  { clientId, nodeId }: { readonly clientId: string; readonly nodeId: string },
): Uint8Array {
  return createHmac('sha256', secret)
    .update(lengthPrefixed(utf8(clientId)))
    .update(lengthPrefixed(utf8(nodeId)))
    .digest();
}
