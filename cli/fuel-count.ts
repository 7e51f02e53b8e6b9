// `gap-junction fuel count`: what a call costs, counted here and now.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { Command, Option } from 'commander';
import loadWabt from 'wabt';
import { z } from 'zod';

import { countFuel, type CountAnswer, WasmError } from '../metering/metering.ts';
import { wholeBigint } from './arguments.ts';
import { CommandError, EXIT } from './failure.ts';
import { print, printJson } from './output.ts';

/** 10^10, the fuel limit of a job that asks for none. */
const DEFAULT_BUDGET_FUEL = 10_000_000_000n;

/** What wabt must read; all that it might beyond that is refused by metering with its proposal's name. */
const TEXT_FEATURES = {
  exceptions: true,
  extended_const: true,
  function_references: true,
  gc: true,
  memory64: true,
  relaxed_simd: true,
  tail_call: true,
  threads: true,
};

interface CountJob {
  readonly wasm: Uint8Array;
  readonly export: string | null;
  readonly args: readonly (string | number)[];
  readonly budgetFuel: bigint;
}

const wholeText = z.union([z.string().regex(/^\d{1,19}$/), z.int().nonnegative()]);

/** JSON numbers are doubles: a larger whole number was rounded before it came here. */
const exactNumber = z
  .number()
  .refine((value) => !Number.isInteger(value) || Number.isSafeInteger(value), {
    message: 'a whole number beyond 2^53 is given as a string, so that no digit of it is lost',
  });

const batchLine = z
  .strictObject({
    wasm: z.string().optional(),
    wat: z.string().optional(),
    export: z.string().nullable().default(null),
    args: z.array(z.union([z.string(), exactNumber])).default([]),
    budget: wholeText.default(DEFAULT_BUDGET_FUEL.toString()),
  })
  .refine((line) => (line.wasm === undefined) !== (line.wat === undefined), {
    message: 'give one of "wasm", a path, and "wat", a text',
  });

/** `gap-junction fuel` with its only subcommand, `count`. */
export function fuelCommand(): Command {
  const count = new Command('count')
    .description('call an exported function under fuel and say what it took')
    .argument('[file]', 'a module, .wasm or .wat')
    .argument('[export]', 'the function to call; without it the module is only instantiated')
    .argument('[args...]', 'whole numbers; floats also as 0x and their bits')
    .addOption(
      new Option('--budget <fuel>', 'fuel that the call may use')
        .argParser(wholeBigint)
        .default(DEFAULT_BUDGET_FUEL, DEFAULT_BUDGET_FUEL.toString()), // a text, as help prints JSON
    )
    .option('--batch <jobs>', 'a file of jobs, a JSON document a line; an answer a line, in order')
    .option('--json', 'print JSON')
    .action(runCount);
  return new Command('fuel').description('count fuel').addCommand(count);
}

interface CountOptions {
  readonly budget: bigint;
  readonly batch?: string;
  readonly json?: boolean;
}

async function runCount(
  file: string | undefined,
  exported: string | undefined,
  args: readonly string[],
  options: CountOptions,
): Promise<void> {
  if (options.batch !== undefined) {
    if (file !== undefined) {
      throw new CommandError('give a file of jobs by --batch, or a module, not both', EXIT.usage);
    }
    await countBatch(options.batch);
    return;
  }
  if (file === undefined) throw new CommandError('give a module, or --batch', EXIT.usage);
  const answer = await countFuel({
    wasm: await readWasm(file),
    export: exported ?? null,
    args,
    budgetFuel: options.budget,
  });
  if (options.json === true) printJson(answer);
  else printAnswer(answer);
}

/** Answers every line; a job that cannot be counted has an answer of its own, `{"error", "offset"}`. */
async function countBatch(path: string): Promise<void> {
  const input = createReadStream(path, 'utf8');
  await once(input, 'open');
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    printJson(await countLine(line));
  }
}

async function countLine(line: string): Promise<CountAnswer | { error: string; offset?: number }> {
  try {
    return await countFuel(await parseLine(line));
  } catch (error) {
    if (error instanceof WasmError) return { error: error.reason, offset: error.offset };
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

async function parseLine(line: string): Promise<CountJob> {
  const parsed = batchLine.safeParse(JSON.parse(line));
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const { wasm, wat, budget, args, export: exported } = parsed.data;
  return {
    wasm: wat === undefined ? await readWasm(wasm!) : await assemble(wat),
    export: exported,
    args,
    budgetFuel: BigInt(budget),
  };
}

async function readWasm(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path);
  return path.endsWith('.wat') ? assemble(bytes.toString('utf8')) : bytes;
}

let wabtLoading: ReturnType<typeof loadWabt> | undefined;

/** Turns the text form of a module into its binary form. */
async function assemble(text: string): Promise<Uint8Array> {
  wabtLoading ??= loadWabt();
  const wabt = await wabtLoading;
  const module = wabt.parseWat('text', text, TEXT_FEATURES);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

function printAnswer(answer: CountAnswer): void {
  const { trap, result } = answer;
  print(trap === null ? `result    ${result?.join(' ') ?? '-'}` : `trap      ${trap}`);
  print(`fuel      ${answer.fuel} (gj-0), ${answer.consumedInstantiate} of it for instantiation`);
  if (answer.memorySha256 !== null) print(`memory    ${answer.memorySha256}...`);
}
