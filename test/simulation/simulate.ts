// `npm run -s simulate -- --seeds 1000 --from 1 --json`: runs so many simulations, names those that broke a
// promise, and says how to see one again. `--verbose` prints all that happens in them.
import { parseArgs } from 'node:util';
import { Database } from './database.ts';
import { Identities } from './identities.ts';
import { runSeed, type Outcome } from './run-seed.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '50' },
    from: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const seeds = wholeNumber('--seeds', values.seeds);
const from = wholeNumber('--from', values.from);

const database = await Database.open();
const identities = await Identities.make();
// PGlite sets timers of the system by a clock that stands still: they do nothing, and Node tells of each.
process.removeAllListeners('warning');

const print = values.verbose ? (line: string) => process.stderr.write(`${line}\n`) : null;
const sum = { seeds: 0, violations: 0, jobs: 0, kills: 0 };
for (let seed = from; seed < from + seeds; seed++) {
  const outcome = await runSeed(seed, { database, identities, print });
  sum.seeds++;
  sum.violations += outcome.violations.length;
  sum.jobs += outcome.jobs;
  sum.kills += outcome.kills;
  tell(outcome);
}
identities.dispose();
await database.close();
process.stdout.write(
  values.json
    ? `${JSON.stringify(sum)}\n`
    : `${sum.seeds} seeds, ${sum.jobs} jobs, ${sum.kills} kills: ${sum.violations} violations\n`,
);
process.exitCode = sum.violations === 0 ? 0 : 1;

function tell({ seed, violations, jobs, kills, virtualMs, digest, realMs }: Outcome): void {
  const facts = `${jobs} jobs, ${kills} kills, ${Math.round(virtualMs / 1_000)} virtual s, ${Math.round(realMs)} ms`;
  process.stderr.write(`seed ${seed}: ${facts}, trace ${digest.slice(0, 16)}\n`);
  for (const violation of violations) process.stderr.write(`  ${violation}\n`);
  if (violations.length > 0) {
    process.stderr.write(
      `  see it again: npm run -s simulate -- --seeds 1 --from ${seed} --verbose\n`,
    );
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`reading ${name} '${text}': give a whole number`);
  }
  return value;
}
