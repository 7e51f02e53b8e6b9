// Where a replica of the control plane listens.
import { isIP } from 'node:net';

import { AgentError } from '../error.ts';

export interface Address {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** RFC 1035 bounds a name to 253 characters. */
const NAME = /^(?=.{1,253}$)[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/;

/** Reads `host:port` or `[IPv6]:port`. Throws AgentError OPTION_REFUSED for anything else. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain ?? '';
  const isHost = bracketed === undefined ? NAME.test(host) : isIP(host) === 6;
  if (!isHost || !(port >= 1 && port <= 65_535)) {
    throw new AgentError(
      'OPTION_REFUSED',
      `reading the address '${text.slice(0, 300)}': give host:port, as 'control.example.com:7443' or '[::1]:7443'`,
    );
  }
  return { host, port };
}

/** The exact inverse of `parseAddress`. */
export function addressText({ host, port }: Address): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Addresses of replicas that an owner would list by hand. */
export const MAX_ADDRESSES = 16;

/** Reads a list with commas; one that is named twice counts once. Throws AgentError OPTION_REFUSED. */
export function parseAddresses(text: string): Address[] {
  const addresses = new Map(
    text.split(',').map((one) => {
      const address = parseAddress(one.trim());
      return [addressText(address), address];
    }),
  );
  if (addresses.size > MAX_ADDRESSES) {
    throw new AgentError(
      'OPTION_REFUSED',
      `reading the ${addresses.size} addresses '${text.slice(0, 300)}': give at most ${MAX_ADDRESSES}`,
    );
  }
  return [...addresses.values()];
}

/**
 * The same addresses in an order of this agent's own, so that the agents of a replica that dies spread
 * over all others. `random` answers a fraction in [0, 1).
 */
export function inRandomOrder(addresses: readonly Address[], random: () => number): Address[] {
  const left = [...addresses];
  const order: Address[] = [];
  while (left.length > 1) order.push(...left.splice(Math.floor(random() * left.length), 1));
  return [...order, ...left];
}
