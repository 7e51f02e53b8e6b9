// `npm run -s chaos -- --seconds 300 --kills 20 --seed N --json`: real servers, agents, PostgreSQL and Redis
// on this machine, and clients who submit while processes are killed without a word. Every job that was
// acknowledged has to end, once, and to be paid at most once. Progress goes to stderr; the last line is the
// report; the exit code is 0 only when nothing was lost, nothing paid twice, and nothing else was wrong.
import { parseOptions, type ChaosOptions } from './options.ts';
import { runChaos } from './run-chaos.ts';

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

function tell(text: string): void {
  process.stderr.write(`chaos: ${text}\n`);
}

async function main(options: ChaosOptions): Promise<number> {
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => interrupt.abort(new Error(`stopped by ${name}`)));
  }
  const startMs = Date.now();
  try {
    const report = await runChaos({
      ...options,
      progress: (text) => tell(`${((Date.now() - startMs) / 1_000).toFixed(1)} s: ${text}`),
      signal: interrupt.signal,
    });
    for (const problem of report.problems) tell(problem);
    process.stdout.write(`${JSON.stringify(report, null, options.json ? 0 : 2)}\n`);
    return report.lost + report.paidTwice + report.problems.length === 0 ? EXIT.ok : EXIT.failed;
  } catch (error) {
    tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return EXIT.failed;
  }
}

let options: ChaosOptions;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  tell(error instanceof Error ? error.message : String(error));
  process.exit(EXIT.usage);
}
process.exit(await main(options));
