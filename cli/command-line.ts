// This command as a program that another one starts.
import { fileURLToPath } from 'node:url';

import { Program, type ProgramEvent } from './processes.ts';

const COMMAND = fileURLToPath(new URL('./gap-junction.mjs', import.meta.url));

/** `gap-junction <name> <args>` as a process of its own. */
export function runCommandLine(
  name: string,
  {
    args,
    environment,
    onLog,
    onEvent,
  }: {
    readonly args: readonly string[];
    readonly environment?: Readonly<Record<string, string>> | undefined;
    readonly onLog?: (text: string) => void;
    readonly onEvent?: ((event: ProgramEvent) => void) | undefined;
  },
): Program {
  return new Program(`gap-junction ${name}`, COMMAND, [name, ...args], {
    env: { ...process.env, ...environment },
    ...(onLog && { onLog }),
    ...(onEvent && { onEvent }),
  });
}
