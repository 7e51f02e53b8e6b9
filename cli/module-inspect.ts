// `gap-junction module inspect`: what a module is, and whether it would run, without running it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { Command } from 'commander';

import {
  WasmError,
  validateModule,
  whyImportRefused,
  type ExternalType,
  type ModuleReport,
} from '../metering/metering.ts';
import { EXIT } from './failure.ts';
import { digestText, print, printJson, printTable } from './output.ts';

export function moduleInspectCommand(): Command {
  return new Command('inspect')
    .description('what a module imports and exports, and whether a node would run it')
    .argument('<file>', 'a .wasm file')
    .option('--json', 'print it as JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const bytes = await readFile(file);
      const about = {
        digest: digestText(createHash('sha256').update(bytes).digest()),
        bytes: bytes.byteLength,
      };
      try {
        const found = await validateModule(bytes);
        const refusals = refusalsOf(found);
        if (options.json) {
          printJson({ ...about, accepted: refusals.length === 0, refusals, ...found });
        } else printReport(about, found, refusals);
        if (refusals.length > 0) process.exitCode = EXIT.failed;
      } catch (error) {
        if (!(error instanceof WasmError)) throw error;
        const { offset, reason } = error;
        if (options.json) printJson({ ...about, accepted: false, refusals: [reason], offset });
        else print(`${about.digest}  ${about.bytes} bytes\nrefused at byte ${offset}: ${reason}`);
        process.exitCode = EXIT.failed;
      }
    });
}

/** Why no node would run a valid module; none when it would. */
function refusalsOf({ imports, entry }: ModuleReport): string[] {
  const reasons = imports.map(whyImportRefused).filter((reason) => reason !== null);
  if (entry === null) reasons.push('it exports neither _start nor run as a function () -> ()');
  return reasons;
}

function printReport(
  { digest, bytes }: { digest: string; bytes: number },
  { imports, exports, memory, entry, functionCount }: ModuleReport,
  refusals: readonly string[],
): void {
  print(`${digest}  ${bytes} bytes, ${functionCount} functions, entry ${entry ?? 'none'}`);
  print(
    memory === null
      ? 'no memory'
      : `memory of ${memory.minPages} pages of 64 KiB, at most ${memory.maxPages ?? 'the job limit'}`,
  );
  printTable(
    ['', 'NAME', 'TYPE'],
    [
      ...imports.map(({ module, name, type }) => ['import', `${module}.${name}`, typeText(type)]),
      ...exports.map(({ name, type }) => ['export', name, typeText(type)]),
    ],
  );
  for (const reason of refusals) print(`refused: ${reason}`);
}

function typeText(type: ExternalType): string {
  if (type.kind === 'function') {
    return `(${type.type.parameters.join(', ')}) -> (${type.type.results.join(', ')})`;
  }
  if (type.kind === 'memory') return `memory ${type.size.min} pages`;
  if (type.kind === 'table') return `table of ${type.size.min} ${type.element}`;
  return `${type.mutable ? 'mutable ' : ''}global ${type.value}`;
}
