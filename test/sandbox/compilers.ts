// Programs of other compilers: clang with wasi-libc, and Go, as the machine has them.
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const GUESTS = join(import.meta.dirname, '../../examples/guests');
const execute = promisify(execFile);

/** Turns each letter into the one 13 on. */
export const ROT13 = join(GUESTS, 'c/rot13.c');

/** Counts the words of its input. */
export const WORDS = join(GUESTS, 'go/main.go');

export async function compileC(source: string, target: string): Promise<void> {
  await execute('clang', ['--target=wasm32-wasi', '--sysroot=/usr', '-O2', source, '-o', target]);
}

/** `source`: a file of one program, or the folder of one. */
export async function compileGo(source: string, target: string): Promise<void> {
  await execute('go', ['build', '-o', target, source], {
    cwd: source.endsWith('.go') ? dirname(source) : source,
    env: { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm', GOFLAGS: '-mod=mod' },
  });
}

/** Go's own formatter, which nobody wrote for us. */
export async function gofmtSource(): Promise<string> {
  const { stdout } = await execute('go', ['env', 'GOROOT']);
  return join(stdout.trim(), 'src/cmd/gofmt');
}
