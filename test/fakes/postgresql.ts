// A real PostgreSQL for one test file: its own folder and port, gone afterwards. Debian's package is
// enough (`apt-get install postgresql`).
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Postgresql {
  /** Its first process, whose children serve the connections. */
  pid(): number;
  /** Of a fresh, empty database on it, another one at each call. */
  newDatabase(): string;
  /** Ends it as a power cut does; `start` brings it back with all that was committed. */
  crash(): void;
  start(): void;
  /** All of a database in a file that `restore` reads, as `pg_dump` writes it. */
  dump(databaseUrl: string): Buffer;
  /** Makes the database anew, from a dump. */
  restore(databaseUrl: string, dump: Buffer): void;
  stop(): void;
}

export async function startPostgresql(): Promise<Postgresql> {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-postgresql-'));
  const data = join(folder, 'data');
  const port = await freePort();
  // It refuses to run as root.
  const asPostgres = process.getuid?.() === 0;
  if (asPostgres) {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
    chownSync(folder, id('-u'), id('-g'));
  }
  const run = (program: string, ...args: readonly string[]) => {
    const path = join(binaries(), program);
    const [command, ...rest] = asPostgres ? ['runuser', '-u', 'postgres', '--', path] : [path];
    execFileSync(command ?? path, [...rest, ...args], { cwd: folder, stdio: 'ignore' });
  };
  run('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync');
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder}`;
  const start = () =>
    run('pg_ctl', '-D', data, '-w', '-l', join(folder, 'log'), '-o', options, 'start');
  const crash = () => run('pg_ctl', '-D', data, '-w', '-m', 'immediate', 'stop');
  start();

  let databases = 0;
  return {
    pid: () => Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]),
    newDatabase() {
      const name = `test_${++databases}`;
      run('createdb', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', name);
      return `postgresql://postgres@127.0.0.1:${port}/${name}`;
    },
    dump: (url) => execFileSync(join(binaries(), 'pg_dump'), ['--format=custom', url], MAX_DUMP),
    restore(url, dump) {
      const name = new URL(url).pathname.slice(1);
      const server = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres'];
      run('dropdb', ...server, name);
      run('createdb', ...server, name);
      execFileSync(join(binaries(), 'pg_restore'), ['--exit-on-error', `--dbname=${url}`], {
        input: dump,
      });
    },
    crash,
    start,
    stop() {
      // A test may have crashed it before.
      if (existsSync(join(data, 'postmaster.pid'))) crash();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Of a test's database. */
const MAX_DUMP = { maxBuffer: 64 * 1024 * 1024 };

/** Where Debian keeps the newest version's programs. */
function binaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  if (versions.length === 0) throw new Error(`looking for PostgreSQL: there is none in '${root}'`);
  return join(root, String(Math.max(...versions)), 'bin');
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
  });
  return promise;
}
