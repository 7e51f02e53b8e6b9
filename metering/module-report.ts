// What can be said of a module without running it: the answer of readModule.

import type { FunctionType } from './wasm/function-type.ts';
import type { Limits } from './wasm/size-limits.ts';
import type { ReferenceType, ValueType } from './wasm/value-type.ts';

export type ExternalType =
  | { readonly kind: 'function'; readonly type: FunctionType }
  | { readonly kind: 'table'; readonly element: ReferenceType; readonly size: Limits }
  | { readonly kind: 'memory'; readonly size: Limits }
  | { readonly kind: 'global'; readonly value: ValueType; readonly mutable: boolean };

export type ExternalKind = ExternalType['kind'];

export interface ImportReport {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternalKind;
  readonly type: ExternalType;
  /** Where it stands, in bytes from the start of the file. */
  readonly offset: number;
}

export interface ExportReport {
  readonly name: string;
  readonly kind: ExternalKind;
  readonly type: ExternalType;
}

/**
 * How a module is started: START is a WASI preview 1 command (`_start` exported as a function without
 * parameters and results), RUN a core module that exports `run` as such a function and no `_start`.
 */
export type Entry = 'START' | 'RUN';

export interface ModuleReport {
  readonly imports: readonly ImportReport[];
  readonly exports: readonly ExportReport[];
  /** The one memory, its own or imported, in pages of 64 KiB as the module declares it. */
  readonly memory: { readonly minPages: number; readonly maxPages: number | null } | null;
  /** True when the module has a start section, which runs guest code before any entry. */
  readonly hasStart: boolean;
  /** Functions that the module defines, without imported ones. */
  readonly functionCount: number;
  /** Null when the module has no function that a job could start at. */
  readonly entry: Entry | null;
}
