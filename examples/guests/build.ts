// Builds the example guests that need nothing but this repository's own packages:
//
//   node examples/guests/build.ts
import { mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import asc from 'assemblyscript/asc';

const HERE = import.meta.dirname;
const SOURCES = join(HERE, 'assemblyscript');
const BUILD = join(HERE, 'build');
const GUESTS = ['sketch', 'infinite-loop', 'memory-hog', 'reach'] as const;

export type GuestName = (typeof GUESTS)[number];

/** Compiles what is older than its sources, into examples/guests/build; answers the path of each. */
export async function buildGuests(): Promise<Record<GuestName, string>> {
  const changedMs = await newest([
    import.meta.filename,
    ...(await readdir(SOURCES)).map((name) => join(SOURCES, name)),
  ]);
  await mkdir(BUILD, { recursive: true });
  const paths: [GuestName, string][] = [];
  for (const name of GUESTS) {
    const path = join(BUILD, `${name}.wasm`);
    if ((await modifiedMs(path)) < changedMs) await compile(join(SOURCES, `${name}.ts`), path);
    paths.push([name, path]);
  }
  return Object.fromEntries(paths) as Record<GuestName, string>;
}

async function compile(source: string, target: string): Promise<void> {
  const messages = asc.createMemoryStream();
  const { error } = await asc.main(
    // No runtime beyond an allocator that never frees, and no host function to abort with.
    [source, '--outFile', target, '--runtime', 'stub', '-O3', '--use', 'abort='],
    {
      stderr: messages,
      readFile: async (name, base) => await readFile(resolve(base, name), 'utf8').catch(() => null),
      // Under another name first: two builds at a time must not see half a file of each other.
      writeFile: async (name, contents, base) => {
        const path = resolve(base, name);
        const partial = `${path}.${process.pid}`;
        await mkdir(dirname(path), { recursive: true });
        await writeFile(partial, contents);
        await rename(partial, path);
      },
    },
  );
  if (error !== null) {
    throw new Error(`Compiling ${source} failed: ${messages.toString()}`, { cause: error });
  }
}

async function newest(paths: readonly string[]): Promise<number> {
  return Math.max(...(await Promise.all(paths.map(modifiedMs))));
}

/** 0 for a file that is not there. */
async function modifiedMs(path: string): Promise<number> {
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [name, path] of Object.entries(await buildGuests())) {
    process.stdout.write(`${name} ${path}\n`);
  }
}
