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
