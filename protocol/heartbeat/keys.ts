// The keys of one node's heartbeats, derived from the control plane's master key, so that nothing per
// node is stored. Each direction has its own: a frame that is sent back to its sender never verifies.

import { createHmac, type KeyObject } from 'node:crypto';
import { lengthPrefixed, utf8 } from '../bytes.ts';

/** The direction's name is part of what is authenticated; the version changes with the layout. */
const LABEL = {
  up: utf8('gap-junction/heartbeat/node-to-control-plane/v1\n'),
  down: utf8('gap-junction/heartbeat/control-plane-to-node/v1\n'),
} as const;

/** HMAC-SHA256 under the master key, 32 bytes; in this process or in a store that never gives the key away. */
export type MasterHmac = (message: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface HeartbeatKeyBytes {
  /** For frames of the node. */
  readonly up: Uint8Array;
  /** For frames of the control plane. */
  readonly down: Uint8Array;
}

/** A master key whose bytes are at hand, as the function that derivation needs. */
export function masterHmacOf(
  masterKey: KeyObject | Uint8Array,
): (message: Uint8Array) => Uint8Array {
  return (message) => createHmac('sha256', masterKey).update(message).digest();
}

/**
 * What the master HMAC is asked for one direction: the direction's label || LP(node id) || LP(serial).
 * `serial` is the certificate's in the minimal form of `serialBytes`.
 */
export function heartbeatKeyMessage(
  direction: 'up' | 'down',
  { nodeId, serial }: { readonly nodeId: string; readonly serial: Uint8Array },
): Uint8Array {
  return Buffer.concat([LABEL[direction], lengthPrefixed(utf8(nodeId)), lengthPrefixed(serial)]);
}

/** Both keys of one certificate. They die with it. */
export async function deriveKeys(
  master: MasterHmac,
  certificate: { readonly nodeId: string; readonly serial: Uint8Array },
): Promise<HeartbeatKeyBytes> {
  const [up, down] = await Promise.all([
    master(heartbeatKeyMessage('up', certificate)),
    master(heartbeatKeyMessage('down', certificate)),
  ]);
  return { up, down };
}
