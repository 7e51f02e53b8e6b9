// A line between two programs that a test can cut as a network does: what is sent is dropped, and neither side
// is told.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
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

  /** New connections go through again. Those that lost bytes never do. */
  mend(): void {
    this.#isCut = false;
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
    const line = { isBroken: far === null };
    this.#forward(near, far, line);
    if (far !== null) this.#forward(far, near, line);
  }

  #forward(from: Socket, to: Socket | null, line: { isBroken: boolean }): void {
    this.#sockets.add(from);
    const passes = () => {
      line.isBroken ||= this.#isCut;
      return !line.isBroken;
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
      this.#sockets.delete(from);
      if (passes()) to?.destroy();
    });
  }
}
