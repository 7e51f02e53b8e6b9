// One TLS connection: who is at its other end, and which calls live on it.
import type { TLSSocket } from 'node:tls';
import type { Call } from './call.ts';
import type { Peer } from './peer.ts';

export class Connection {
  readonly socket: TLSSocket;
  /** The peer's IP address. */
  readonly address: string;
  /** As grpc-js names the peer of a call: address and port. */
  readonly peerName: string;
  readonly peer: Peer;
  readonly calls = new Set<Call>();
  /** When it was opened, or a call that needs no certificate last began or ended on it. */
  lastOpenCallMs: number;
  /** Its certificate ended or was revoked while it stood. */
  lapsed = false;

  constructor(socket: TLSSocket, peer: Peer, nowMs: number) {
    this.socket = socket;
    this.address = socket.remoteAddress ?? '';
    this.peerName = `${socket.remoteAddress}:${socket.remotePort}`;
    this.peer = peer;
    this.lastOpenCallMs = nowMs;
  }
}
