import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { serveHttp, type HttpServer } from '../../../server/http/http-server.ts';

const PAGE = 'x'.repeat(64 * 1024);
const GET = 'GET / HTTP/1.1\r\nhost: here\r\n\r\n';

describe('an HTTP server of ours', () => {
  let server: HttpServer;
  let answered: number;
  before(async () => {
    server = await serveHttp({
      host: '127.0.0.1',
      port: 0,
      requestTimeoutMs: 200,
      async answer() {
        answered++;
        return { status: 200, contentType: 'text/plain', text: PAGE };
      },
      onError: (doing, cause) => {
        throw new Error(doing, { cause });
      },
    });
  });
  beforeEach(() => {
    answered = 0;
  });
  after(() => server.stop());

  function open(): Socket {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    return socket;
  }

  for (const [title, sent] of [
    ['says nothing', ''],
    ['says half of its request', 'GET / HT'],
    ['never ends its headers', 'GET / HTTP/1.1\r\nhost: here\r\nx: y\r\n'],
  ] as const) {
    it(`keeps its place from nobody for a connection that ${title}`, async () => {
      const socket = open().resume();
      socket.write(sent);
      await once(socket, 'close');
      expect((await fetch(server.url)).status).to.equal(200);
    });
  }

  it('keeps no pages for a connection that does not read them', async () => {
    const socket = open().pause();
    socket.write(GET.repeat(2_000));
    const allAreAnswered = () => answered >= 32;
    while (!allAreAnswered()) await new Promise((resolve) => setImmediate(resolve));
    // It is told that it asks for too much as soon as it reads.
    let read = '';
    for await (const chunk of socket.resume().iterator({ destroyOnReturn: true })) {
      read = read.slice(-100) + String(chunk);
      if (read.includes('HTTP/1.1 503')) break;
    }
    expect(answered).to.equal(32);
  });
});
