// `npm run bench [-- --runs N] [--only beats,jobs,memory] [--parts embedded,real] [--json]`: what the hot paths
// cost on this machine. Each figure is a median and a 95th percentile; docs/benchmarks.md says how they
// came to be what they are.
import { parseArgs } from 'node:util';

import { beats } from './beats.ts';
import { jobs } from './jobs.ts';
import { memory } from './memory.ts';
import { machine, printRow, type Row } from './measure.ts';

const LEAST_RUNS = 5;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: String(LEAST_RUNS) },
    only: { type: 'string', default: 'beats,jobs' },
    parts: { type: 'string', default: 'embedded,real' },
    json: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < LEAST_RUNS) {
  process.stderr.write(
    `bench: --runs '${values.runs}' must be a whole number from ${LEAST_RUNS}\n`,
  );
  process.exit(2);
}
const wanted = new Set([...values.only.split(','), ...values.parts.split(',')]);

const SECTIONS = [
  { wants: ['beats', 'embedded'], measure: () => beats('embedded', runs) },
  { wants: ['beats', 'real'], measure: () => beats('PostgreSQL and Redis', runs) },
  { wants: ['jobs', 'embedded'], measure: () => jobs('embedded', runs) },
  { wants: ['jobs', 'real'], measure: () => jobs('PostgreSQL', runs) },
  // Minutes, so only when it is asked for.
  { wants: ['memory', 'embedded'], measure: () => memory('embedded') },
  { wants: ['memory', 'real'], measure: () => memory('PostgreSQL') },
] as const;

if (!values.json) process.stdout.write(`${machine()}\n`);
const rows: Row[] = [];
for (const { wants, measure } of SECTIONS) {
  if (!wants.every((want) => wanted.has(want))) continue;
  try {
    for (const row of await measure()) {
      rows.push(row);
      if (!values.json) printRow(row);
    }
  } catch (error) {
    process.stderr.write(`bench: ${wants.join(', ')}: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
if (values.json) process.stdout.write(`${JSON.stringify({ machine: machine(), rows })}\n`);
