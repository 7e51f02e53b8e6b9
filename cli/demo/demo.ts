// `gap-junction demo`: the whole of it, on this machine, in under a minute.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

import { Command } from 'commander';

import { EXIT } from '../failure.ts';
import { print, printJson, progress } from '../output.ts';
import type { DemoResult } from './jobs.ts';
import { tellStory, type StoryEnd } from './story.ts';

interface DemoOptions {
  readonly outputDir: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function demoCommand(): Command {
  return new Command('demo')
    .option('--output-dir <dir>', 'where pictures and bills are left', 'demo-output')
    .option('--verbose', "show the programs' logs")
    .option('--json', 'print one JSON line at the end instead of the story')
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const workDir = await mkdtemp(join(tmpdir(), 'gap-junction-demo-'));
  try {
    const outputDir = relative('.', resolve(options.outputDir)) || '.';
    const end = await tellStory({
      workDir,
      outputDir,
      tell: options.json ? () => {} : print,
      onLog: options.verbose
        ? (program, text) => progress(`${program}: ${text.trimEnd()}`)
        : undefined,
    });
    if (options.json) printJson(summaryOf(end));
    else tellEnd(end);
    if (!holds(end)) process.exitCode = EXIT.failed;
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

function summaryOf(end: StoryEnd) {
  return {
    jobs: end.jobs.map(({ name, end: jobEnd, job, output, ...bill }) => ({
      name,
      end: jobEnd,
      fuel: String(job.fuel),
      chargeMicrocents: String(job.chargeMicrocents),
      outputBytes: output.length,
      billVerified: bill.verification.ok,
      replayed: bill.replay.ok,
    })),
    heartbeatReplayRefused: replayRefused(end),
    ledgerSum: String(end.ledgerSumMicrocents),
    files: end.files,
  };
}

function replayRefused({ replayedBeat: { accepted, sameStream, newStream } }: StoryEnd): boolean {
  return accepted && sameStream !== null && newStream !== null;
}

/** How each job of the story has to end. */
const EXPECTED_ENDS: Readonly<Record<string, string>> = {
  sketch: 'SUCCEEDED',
  'infinite-loop': 'OUT_OF_FUEL',
  'memory-hog': 'TRAPPED',
  reach: 'SUCCEEDED',
};

function holds(end: StoryEnd): boolean {
  const jobHolds = ({ name, end: jobEnd, verification, replay }: DemoResult) =>
    jobEnd === EXPECTED_ENDS[name] && verification.ok && replay.ok;
  return end.jobs.every(jobHolds) && replayRefused(end) && end.ledgerSumMicrocents === 0n;
}

function tellEnd(end: StoryEnd): void {
  print('');
  print(holds(end) ? 'Everything held. Look at:' : 'SOMETHING DID NOT HOLD; see above. Files:');
  for (const file of end.files) print(`  ${file}`);
}
