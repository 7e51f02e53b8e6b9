// The one name a certificate of ours carries, as a SPIFFE ID (https://spiffe.io, "SPIFFE ID" standard,
// section 2): a URI of lower-case scheme and trust domain, without port, user, query or fragment.

import { isId, type IdKind } from './ids.ts';

/** Who a certificate speaks for. */
export type Identity =
  | { readonly role: 'node'; readonly id: string }
  | { readonly role: 'client'; readonly id: string }
  | { readonly role: 'operator'; readonly id: string }
  /** The control plane's key for work orders and settlements. */
  | { readonly role: 'signer' }
  /** The control plane's listener. */
  | { readonly role: 'server' };

export type Role = Identity['role'];

export interface SpiffeName {
  readonly trustDomain: string;
  readonly identity: Identity;
}

/** The bound that the SPIFFE standard sets. */
const MAX_TRUST_DOMAIN_CHARACTERS = 255;

const TRUST_DOMAIN = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/;

const ID_KIND = { node: 'n', client: 'c', operator: 'o' } as const satisfies Record<string, IdKind>;

const CONTROL_PLANE_PATH = {
  signer: 'control-plane/signer',
  server: 'control-plane/server',
} as const;

/** Whether the text can name a trust domain: lower-case letters, digits, dots, dashes, underscores. */
export function isTrustDomain(text: string): boolean {
  return text.length <= MAX_TRUST_DOMAIN_CHARACTERS && TRUST_DOMAIN.test(text);
}

/**
 * `spiffe://<trust domain>/node/<node id>` and so on. Throws a RangeError when the trust domain or the id
 * has not the form that `parseSpiffeUri` reads.
 */
export function spiffeUri(trustDomain: string, identity: Identity): string {
  if (!isTrustDomain(trustDomain)) {
    throw new RangeError(`The trust domain "${trustDomain}" must be a lower-case domain name`);
  }
  switch (identity.role) {
    case 'signer':
    case 'server':
      return `spiffe://${trustDomain}/${CONTROL_PLANE_PATH[identity.role]}`;
    case 'node':
    case 'client':
    case 'operator': {
      if (!isId(ID_KIND[identity.role], identity.id)) {
        throw new RangeError(`"${identity.id}" is no ${identity.role} id`);
      }
      return `spiffe://${trustDomain}/${identity.role}/${identity.id}`;
    }
    default:
      return identity satisfies never;
  }
}

/** The exact inverse of `spiffeUri`; null for every other text, whatever its length. */
export function parseSpiffeUri(uri: string): SpiffeName | null {
  const match = /^spiffe:\/\/([^/]{1,255})\/([^/]{1,32})\/([^/]{1,32})$/.exec(uri);
  const [, trustDomain, first, last] = match ?? [];
  if (trustDomain === undefined || first === undefined || last === undefined) return null;
  if (!isTrustDomain(trustDomain)) return null;
  const identity = identityAt(first, last);
  return identity === null ? null : { trustDomain, identity };
}

function identityAt(first: string, last: string): Identity | null {
  switch (first) {
    case 'node':
    case 'client':
    case 'operator':
      return isId(ID_KIND[first], last) ? { role: first, id: last } : null;
    case 'control-plane':
      return last === 'signer' || last === 'server' ? { role: last } : null;
    default:
      return null;
  }
}
