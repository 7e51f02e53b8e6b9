// The vectors of the schedule wasmtime-48, made with Wasmtime 48.0.0: a JSON document a line.
import { readFileSync } from 'node:fs';

export interface Vector {
  readonly name: string;
  readonly wat: string;
  readonly export: string | null;
  readonly args: readonly number[];
  readonly budget: number;
  readonly result?: number | null;
  readonly trap?: string;
  readonly consumed: number;
  readonly consumed_instantiate: number;
  /** First 16 hex digits of the SHA-256 of the memory exported as `memory`, without trailing zeros. */
  readonly memory_sha256_16?: string;
  /** The proposal that it needs, beyond the first ones. */
  readonly feature?: string;
  /** Uses what is refused. */
  readonly outside_profile?: boolean;
}

export const vectors: readonly Vector[] = readFileSync(
  new URL('./vectors.jsonl', import.meta.url),
  'utf8',
)
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Vector);
