// `npm run -s simulate -- --seeds 1000 --from 1 --json`: runs so many simulations, names those that broke a
// promise, and says how to see one again. `--verbose` prints all that happens in them; `--workers 2` shares
// the seeds between two processes.
import { fork, type ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Database } from './database.ts';
import { Identities } from './identities.ts';
import { runSeed, type Outcome } from './run-seed.ts';

const MOST_WORKERS = 16;
/**
 * A process takes so many seeds: what was killed in them waits for ever for promises that never settle, and
 * some 3 MB of each seed stay.
 */
const SEEDS_A_PROCESS = 100;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '50' },
    from: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    'stop-at-violation': { type: 'boolean', default: false },
  },
});

/** What the last line says. */
interface Sum {
  readonly seeds: number;
  readonly violations: number;
  readonly jobs: number;
  readonly kills: number;
}
const NOTHING: Sum = { seeds: 0, violations: 0, jobs: 0, kills: 0 };

const seeds = wholeNumber('--seeds', values.seeds);
const from = wholeNumber('--from', values.from);
const workers = Math.min(MOST_WORKERS, seeds, wholeNumber('--workers', values.workers));

const sum = workers > 1 || seeds > SEEDS_A_PROCESS ? await runInWorkers() : await runHere();
process.stdout.write(
  values.json
    ? `${JSON.stringify(sum)}\n`
    : `${sum.seeds} seeds, ${sum.jobs} jobs, ${sum.kills} kills: ${sum.violations} violations\n`,
);
process.send?.(sum);
process.exitCode = sum.violations === 0 ? 0 : 1;
process.disconnect?.();

async function runHere(): Promise<Sum> {
  // PGlite sets timers of the system by a clock that stands still: they do nothing, and Node tells of each.
  process.removeAllListeners('warning');
  const database = await Database.open();
  const identities = await Identities.make();
  const print = values.verbose ? (line: string) => process.stderr.write(`${line}\n`) : null;
  // What nobody catches would end a replica.
  const unhandled: string[] = [];
  process.on('unhandledRejection', (cause) => {
    unhandled.push(`nobody handles: ${cause instanceof Error ? cause.stack : String(cause)}`);
  });
  let total = NOTHING;
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await runSeed(seed, { database, identities, print, unhandled });
    const { violations, jobs, kills } = outcome;
    total = added(total, { seeds: 1, violations: violations.length, jobs, kills });
    tell(outcome);
    if (violations.length > 0 && values['stop-at-violation']) break;
  }
  identities.dispose();
  await database.close();
  return total;
}

async function runInWorkers(): Promise<Sum> {
  let total = NOTHING;
  let next = from;
  const end = from + seeds;
  const share = Math.min(SEEDS_A_PROCESS, Math.ceil(seeds / workers));
  const isDone = () => next >= end || (values['stop-at-violation'] && total.violations > 0);
  async function work(): Promise<void> {
    while (!isDone()) {
      const count = Math.min(share, end - next);
      const options = ['--seeds', String(count), '--from', String(next)];
      if (values.verbose) options.push('--verbose');
      if (values['stop-at-violation']) options.push('--stop-at-violation');
      next += count;
      // Its last line is for us alone.
      const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
      const part = await sumOf(fork(import.meta.filename, options, { stdio: [...stdio] }));
      total = added(total, part);
    }
  }
  await Promise.all(Array.from({ length: workers }, work));
  return total;
}

async function sumOf(worker: ChildProcess): Promise<Sum> {
  const { promise, resolve, reject } = Promise.withResolvers<Sum>();
  worker.once('message', (message) => resolve(message as Sum));
  worker.once('exit', (code) => reject(new Error(`a worker ended with exit code ${code}`)));
  return promise;
}

function added(one: Sum, other: Sum): Sum {
  return {
    seeds: one.seeds + other.seeds,
    violations: one.violations + other.violations,
    jobs: one.jobs + other.jobs,
    kills: one.kills + other.kills,
  };
}

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
