// How many things of each kind a module has: what an index in it may name. Every index is checked here
// before anything is rewritten, since metering adds functions, globals and locals behind the guest's
// own, and an index one past the end would name them.

export interface IndexSpaces {
  readonly types: number;
  readonly functions: number;
  readonly tables: number;
  readonly memories: number;
  readonly globals: number;
  readonly elements: number;
  readonly data: number;
  /** Bytes that the memory can ever have: what a static address beyond it is measured against. */
  readonly maxMemoryBytes: number;
}
