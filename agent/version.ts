// Which program this is, for beats: what the package that it came in says.
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const Manifest = z.object({ version: z.string().max(100) });

export const AGENT_VERSION: string = Manifest.parse(
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')),
).version;
