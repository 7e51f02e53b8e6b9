// `gap-junction run`: a guest here and now, in the same sandbox that a node uses, without a server.
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

import { Command, InvalidArgumentError, Option } from 'commander';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

import { WasmError, readModule, type Entry } from '../metering/metering.ts';
import { chargeRule } from '../protocol/bill/ends.ts';
import { DEFAULT_LIMITS } from '../protocol/bill/limits.ts';
import { DEFAULT_PRICE, chargeMicrocents } from '../protocol/bill/price.ts';
import { EPOCH_MS, SandboxPool, type GuestOutcome, type GuestSpec } from '../sandbox/sandbox.ts';
import { positiveNumber, wholeBigint, wholeNumber } from './arguments.ts';
import { CommandError, EXIT } from './failure.ts';
import { centsText, digestText, printJson, progress } from './output.ts';

const MIB = 1024 * 1024;
const DEFAULT_DEADLINE_MS = DEFAULT_LIMITS.deadlineEpochs * EPOCH_MS;
/** Long enough to end the one guest that the process is for. */
const IDLE_MS = 1000;

interface RunOptions {
  readonly input?: string;
  readonly output?: string;
  readonly fuel: bigint;
  readonly deadlineMs: number;
  readonly memoryMib: number;
  readonly outputBytes: number;
  readonly debug?: boolean;
  readonly seed?: Uint8Array;
  readonly json?: boolean;
}

export function runCommand(): Command {
  return new Command('run')
    .description('run a guest here and now, without a server; exits with 0 only if it succeeds')
    .argument('<file>', 'a .wasm file that exports _start or run')
    .option('--input <file>', "the guest's input (default: none)")
    .option('--output <file>', 'where its result goes (default: stdout)')
    .addOption(
      new Option('--fuel <n>', 'fuel that it may use')
        .argParser(wholeBigint)
        .default(DEFAULT_LIMITS.fuel, DEFAULT_LIMITS.fuel.toString()), // a text, as help prints JSON
    )
    .option('--deadline-ms <n>', 'time that it may take', deadline, DEFAULT_DEADLINE_MS)
    .option(
      '--memory-mib <n>',
      'memory that it may grow to',
      wholeNumber,
      Number(DEFAULT_LIMITS.memoryBytes) / MIB,
    )
    .option(
      '--output-bytes <n>',
      'the longest output that it may give',
      positiveNumber,
      Number(DEFAULT_LIMITS.outputBytes),
    )
    .option('--debug', 'show what it writes to stdout and stderr, on stderr')
    .option('--seed <hex>', 'what its random bytes are drawn from (default: a new one)', seed)
    .option('--json', 'print how it ended as JSON on stdout')
    .action(async (file: string, options: RunOptions) => {
      const module = await readFile(file);
      const spec: GuestSpec = {
        module,
        entry: entryOf(file, module),
        input: options.input === undefined ? new Uint8Array(0) : await readFile(options.input),
        grants: {
          stdoutAsResult: entryOf(file, module) === 'START',
          debugLogs: options.debug ?? false,
        },
        limits: {
          fuel: options.fuel,
          epochs: options.deadlineMs / EPOCH_MS,
          memoryBytes: options.memoryMib * MIB,
          outputBytes: options.outputBytes,
          logBytes: Number(DEFAULT_LIMITS.logBytes),
        },
        seed: options.seed ?? randomBytes(32),
      };
      if (spec.grants.stdoutAsResult) progress('what the guest writes to stdout is its result');
      const outcome = await runHere(spec);
      if (options.output !== undefined) await writeFile(options.output, outcome.output);
      report(spec, outcome, options);
      if (outcome.end !== 'SUCCEEDED') process.exitCode = EXIT.jobFailed;
    });
}

async function runHere(spec: GuestSpec): Promise<GuestOutcome> {
  const pool = new SandboxPool({ maxProcesses: 1, idleMs: IDLE_MS, onProcessLog: progress });
  const interrupt = new AbortController();
  const cancel = () => interrupt.abort();
  process.once('SIGINT', cancel);
  try {
    return await pool.run('here', spec, { signal: interrupt.signal });
  } finally {
    process.off('SIGINT', cancel);
    await pool.close();
  }
}

function report(spec: GuestSpec, outcome: GuestOutcome, options: RunOptions): void {
  const charge = chargeOf(spec, outcome);
  if (options.json) {
    printJson({
      end: outcome.end,
      detail: outcome.detail,
      fuel: String(outcome.fuel),
      chargeMicrocents: String(charge),
      outputBytes: outcome.output.byteLength,
      outputDigest: digestText(createHash('sha256').update(outcome.output).digest()),
      ...(options.output === undefined && {
        outputBase64: Buffer.from(outcome.output).toString('base64'),
      }),
      ...(options.debug && { logs: Buffer.from(outcome.logs).toString('utf8') }),
      peakMemoryPages: outcome.peakMemoryPages,
      sleptNs: String(outcome.sleptNs),
      seed: Buffer.from(spec.seed).toString('hex'),
    });
    return;
  }
  if (outcome.logs.byteLength > 0) process.stderr.write(outcome.logs);
  if (options.output === undefined) process.stdout.write(outcome.output);
  progress(
    `${outcome.end}${outcome.detail === '' ? '' : ` (${outcome.detail})`}: ${outcome.fuel} fuel, ` +
      `${outcome.output.byteLength} bytes of output, ${centsText(charge)} as a job`,
  );
}

/** What the same would cost as a job, at the default price. */
function chargeOf(spec: GuestSpec, { end, detail, fuel, output }: GuestOutcome): bigint {
  const rule = chargeRule({ end: JobEnd[end], endDetail: detail });
  if (rule === 'nothing') return 0n;
  const used = rule === 'usage';
  return chargeMicrocents({
    price: DEFAULT_PRICE,
    moduleBytes: BigInt(spec.module.byteLength),
    inputBytes: BigInt(spec.input.byteLength),
    outputBytes: used ? BigInt(output.byteLength) : 0n,
    fuel: used ? fuel : 0n,
  });
}

function entryOf(file: string, module: Uint8Array): Entry {
  try {
    const { entry } = readModule(module);
    if (entry !== null) return entry;
  } catch (error) {
    if (!(error instanceof WasmError)) throw error;
    throw new CommandError(`reading the module '${file}': ${error.message}`);
  }
  throw new CommandError(
    `reading the module '${file}': it exports neither _start nor run as a function without ` +
      'parameters and results, so there is nothing to start it at',
  );
}

function deadline(text: string): number {
  const ms = wholeNumber(text);
  if (ms === 0 || ms % EPOCH_MS !== 0) {
    throw new InvalidArgumentError(`'${text}' is not a multiple of ${EPOCH_MS} ms.`);
  }
  return ms;
}

function seed(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new InvalidArgumentError(`'${text}' is not 32 bytes in hexadecimal.`);
  }
  return Buffer.from(text, 'hex');
}
