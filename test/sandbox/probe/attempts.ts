// What JavaScript can do from inside a sandbox, were a guest to break out of V8: tried for real, on the
// thread that guests run on. Posts the outcome of each attempt.
import { parentPort } from 'node:worker_threads';

const ELSEWHERE = '/etc/hosts';

const attempts: Record<string, () => unknown> = {
  'read a file': async () => (await import('node:fs')).readFileSync(ELSEWHERE),
  'list a folder': async () => (await import('node:fs')).readdirSync('/'),
  'write a file': async () =>
    (await import('node:fs')).writeFileSync('/tmp/gap-junction-probe', ''),
  'write to its own source': async () =>
    (await import('node:fs')).appendFileSync(import.meta.filename, ''),
  'open a database': async () => {
    // Under another name than the literal, which Node resolves before anything runs.
    const { DatabaseSync } = await import(['node', 'sqlite'].join(':'));
    return new DatabaseSync('/tmp/gap-junction-probe.db');
  },
  'start a process': async () => {
    const { spawnSync } = await import('node:child_process');
    return spawnSync('/bin/true');
  },
  'connect to a port': async () => await connect({ port: 9, host: '127.0.0.1' }),
  'connect to a socket file': async () => await connect({ path: '/tmp/gap-junction-probe.sock' }),
  'listen on a port': async () => {
    const { createServer } = await import('node:net');
    return await new Promise((resolve, reject) => {
      createServer()
        .once('error', reject)
        .listen(0, '127.0.0.1', () => resolve('listening'));
    });
  },
  'send a datagram': async () => {
    const { createSocket } = await import('node:dgram');
    return await new Promise((resolve, reject) => {
      createSocket('udp4')
        .once('error', reject)
        .send('x', 9, '127.0.0.1', (error) => (error === null ? resolve('sent') : reject(error)));
    });
  },
  'look up a name': async () => await (await import('node:dns/promises')).lookup('localhost'),
  'fetch a page': async () =>
    await fetch('http://127.0.0.1:65000/').catch((error: Error) => {
      throw error.cause ?? error;
    }),
  'open the inspector': async () => (await import('node:inspector')).open(0),
  'load an addon': () => process.dlopen({ exports: {} }, '/tmp/gap-junction-probe.node'),
  'have WASI of Node': async () => new (await import('node:wasi')).WASI({ version: 'preview1' }),
  'make code from text': () => Reflect.construct(Function, ['return 1']),
  'start a worker with more rights': async () => {
    const { Worker } = await import('node:worker_threads');
    return await new Promise((resolve, reject) => {
      new Worker(`require('fs').readFileSync('${ELSEWHERE}')`, {
        eval: true,
        execArgv: ['--allow-fs-read=*'],
        stderr: true,
      })
        .once('error', reject)
        .once('exit', (code) => (code === 0 ? resolve('ran') : reject(new Error(`exit ${code}`))));
    });
  },
  'see an environment variable': () => {
    const names = Object.keys(process.env);
    if (names.length === 0) throw new Error('none');
    return names.join();
  },
};

async function connect(to: { port: number; host: string } | { path: string }): Promise<string> {
  const { createConnection } = await import('node:net');
  return await new Promise((resolve, reject) => {
    createConnection(to)
      .once('error', reject)
      .once('connect', () => resolve('connected'));
  });
}

// Some refusals come as an uncaught exception on the next tick.
let refuse: (error: Error) => void = () => undefined;
process.on('uncaughtException', (error) => refuse(error));

const outcomes: Record<string, string> = {};
for (const [name, attempt] of Object.entries(attempts)) {
  const uncaught = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  outcomes[name] = await Promise.race([uncaught, (async () => await attempt())()]).then(
    () => 'DONE',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );
}
const port = parentPort;
if (port === null) throw new Error('attempts must be started as a worker');
port.postMessage(outcomes);
