// `npm run load -- [--agents N] [--seconds S] [--rate JOBS_PER_SECOND] [--parts real|embedded] [--json]`:
// simulated agents and clients against one replica, over real TLS on loopback. docs/benchmarks.md has
// figures, and says what they mean.
import { parseArgs } from 'node:util';

import { machine } from '../bench/measure.ts';
import { requireFiles, runLoad } from './run-load.ts';

/** What a machine with two cores holds, swarms included. */
const MAX_AGENTS = 20_000;
const MAX_SECONDS = 3_600;
const MAX_RATE = 1_000;
const MAX_RAMP = 2_000;

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '120' },
    rate: { type: 'string', default: '0' },
    ramp: { type: 'string', default: '150' },
    parts: { type: 'string', default: 'real' },
    json: { type: 'boolean', default: false },
  },
});

function number(name: 'agents' | 'seconds' | 'rate' | 'ramp', least: number, most: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  process.stderr.write(
    `load: --${name} '${values[name]}' must be a whole number from ${least} to ${most}\n`,
  );
  return process.exit(2);
}

const parts = values.parts;
if (parts !== 'real' && parts !== 'embedded') {
  process.stderr.write(`load: --parts '${parts}' must be real or embedded\n`);
  process.exit(2);
}
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
}
const agents = number('agents', 1, MAX_AGENTS);
try {
  requireFiles(agents);
  const result = await runLoad({
    agents,
    seconds: number('seconds', 1, MAX_SECONDS),
    rate: number('rate', 0, MAX_RATE),
    ramp: number('ramp', 1, MAX_RAMP),
    parts,
    onProgress: (text) => process.stderr.write(`load: ${text}\n`),
    signal: stop.signal,
  });
  if (!values.json) process.stdout.write(`${machine()}\n`);
  process.stdout.write(`${JSON.stringify(result, null, values.json ? 0 : 2)}\n`);
  process.exitCode = result.refused + result.jobsFailed === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`load: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
