// Runs the command as a person does, and reads what it prints.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface CommandRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const COMMAND = 'cli/gap-junction.mjs';

/** `gap-junction ARGS`, to its end. */
export async function gapJunction(
  args: readonly string[],
  { env = {}, stdin = '' }: { env?: Record<string, string>; stdin?: string } = {},
): Promise<CommandRun> {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(stdin);
  await once(child, 'close');
  return { exitCode: child.exitCode, stdout, stderr };
}
