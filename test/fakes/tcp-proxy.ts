// A line between two programs that a test can cut as a network does: what is sent is dropped, and neither side
// is told.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those of lines that lost bytes. */
  readonly #broken = new Set<Socket>();
  #isCut = false;
  #tried = Promise.withResolvers<void>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** On a free port of 127.0.0.1 unless told, to this port of it. */
  static async open(targetPort: number, port = 0): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new TcpProxy(server);
    server.on('connection', (near) => proxy.#join(near, targetPort));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on everything is dropped; new connections are taken, and hear nothing. */
  cut(): void {
    this.#isCut = true;
    this.#tried = Promise.withResolvers();
  }

  /** Resolves when somebody wanted to connect since it was cut. */
  get triedInVain(): Promise<void> {
    return this.#tried.promise;
  }

  /** New connections go through again; those that lost bytes stay as they are, and hear nothing. */
  mendForNew(): void {
    this.#isCut = false;
  }

  /** New connections go through again; those that lost bytes are reset, as the next packet would have them. */
  mend(): void {
    this.mendForNew();
    for (const socket of this.#broken) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket, targetPort: number): void {
    if (this.#isCut) this.#tried.resolve();
    const far = this.#isCut
      ? null
      : connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const ends = far === null ? [near] : [near, far];
    if (far === null) this.#broken.add(near);
    for (const [index, end] of ends.entries()) this.#forward(end, ends[1 - index] ?? null);
  }

  #forward(from: Socket, to: Socket | null): void {
    this.#sockets.add(from);
    const passes = () => {
      if (this.#isCut) {
        this.#broken.add(from);
        if (to !== null) this.#broken.add(to);
      }
      return !this.#broken.has(from);
    };
    from.on('data', (bytes) => {
      if (passes()) to?.write(bytes);
    });
    from.on('end', () => {
      if (passes()) to?.end();
    });
    from.on('error', () => {
      if (passes()) to?.destroy();
    });
    from.on('close', () => {
      if (passes()) to?.destroy();
      this.#sockets.delete(from);
    });
  }
}
