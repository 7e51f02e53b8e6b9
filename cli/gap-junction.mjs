#!/usr/bin/env node
// Starts the command under the Node.js that the package pins, whatever the system has: on Node.js 26
// it imports the command, on an older one it runs itself again with node_modules/.bin/node.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LEAST_MAJOR = 26;
const major = Number(process.versions.node.split('.')[0]);

if (major >= LEAST_MAJOR) {
  const source = new URL('./main.ts', import.meta.url);
  const { main } = await import(existsSync(source) ? source.href : './main.js');
  await main(process.argv.slice(2));
} else {
  const pinned = fileURLToPath(
    new URL(
      `../node_modules/.bin/node${process.platform === 'win32' ? '.cmd' : ''}`,
      import.meta.url,
    ),
  );
  if (!existsSync(pinned)) {
    process.stderr.write(
      `gap-junction: starting: this is Node.js ${process.versions.node}, and it needs ${LEAST_MAJOR} or newer; run 'npm ci' here, which brings one\n`,
    );
    process.exit(1);
  }
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
