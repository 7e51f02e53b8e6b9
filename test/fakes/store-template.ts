// PGlite takes seconds to make its first files. A dump of one with our tables starts in a third of a second;
// it is kept under node_modules/.cache, named by everything that it depends on, this file too.
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { PgliteDriver } from '@mikro-orm/pglite';
import { systemClock } from '../../server/clock.ts';
import { openStore } from '../../server/store/open.ts';

const ROOT = join(import.meta.dirname, '../..');
const MIGRATIONS = join(ROOT, 'server/store/migrations');

/**
 * What makes it start sooner: fewer buffers to make ready, no files but of its own database, and nothing to do
 * again. Each in a transaction of its own, where there may be none.
 */
const LIGHTER = [
  "alter system set shared_buffers = '16MB'",
  'update pg_database set datistemplate = false',
  'drop database template0',
  'drop database template1',
  'checkpoint',
];

let template: Promise<Blob> | null = null;

/** For `openStore` and `startServer`: the dump of an empty database with all tables. */
export function storeTemplate(): Promise<Blob> {
  template ??= readOrMake();
  return template;
}

async function readOrMake(): Promise<Blob> {
  const path = join(ROOT, 'node_modules/.cache/gap-junction', `pglite-${digest()}.tar`);
  if (!existsSync(path)) {
    const dump = await makeDump();
    mkdirSync(dirname(path), { recursive: true });
    const temporary = `${path}.${randomBytes(6).toString('hex')}`;
    writeFileSync(temporary, Buffer.from(await dump.arrayBuffer()));
    renameSync(temporary, path);
  }
  return new Blob([readFileSync(path)]);
}

async function makeDump(): Promise<Blob> {
  const store = await openStore({ kind: 'memory' }, { clock: systemClock, exclusive: true });
  try {
    const driver = store.orm.em.getDriver() as unknown as PgliteDriver;
    const pglite = await driver.getConnection().getNativeClient();
    for (const statement of LIGHTER) await pglite.exec(statement);
    return await pglite.dumpDataDir('none');
  } finally {
    await store.close();
  }
}

function digest(): string {
  const hash = createHash('sha256');
  const pglite = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  hash.update(pglite).update(readFileSync(join(dirname(pglite), '../package.json')));
  hash.update(readFileSync(import.meta.filename));
  hash.update(readFileSync(join(MIGRATIONS, '../migrations.ts')));
  for (const name of readdirSync(MIGRATIONS).toSorted()) {
    hash.update(name).update(readFileSync(join(MIGRATIONS, name)));
  }
  return hash.digest('hex').slice(0, 16);
}
