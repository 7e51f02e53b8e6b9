// npm 10 prunes the link that makes npm's scripts run the Node.js that this package pins; put it
// back when it is missing. npm 11 and 12 leave it alone.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const binary = `node-${process.platform}-${process.arch}`;
const target = join('node_modules', binary, 'bin', 'node');
const link = join('node_modules', '.bin', 'node');
if (process.platform !== 'win32' && existsSync(target) && !existsSync(link)) {
  mkdirSync(join('node_modules', '.bin'), { recursive: true });
  symlinkSync(join('..', binary, 'bin', 'node'), link);
}
