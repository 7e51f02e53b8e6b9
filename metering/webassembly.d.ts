// The part of the WebAssembly JavaScript interface that metering and sandbox use, as the W3C's
// "WebAssembly JavaScript Interface" gives it: the project compiles without TypeScript's DOM library,
// which is the only other place that declares it.

declare namespace WebAssembly {
  type ExternKind = 'function' | 'table' | 'memory' | 'global' | 'tag';
  type ExportValue = Function | Global | Memory | Table;
  type ImportValue = ExportValue | number | bigint;
  type ModuleImports = Record<string, ImportValue>;
  type Imports = Record<string, ModuleImports>;
  type Exports = Record<string, ExportValue>;

  class Module {
    constructor(bytes: Uint8Array | ArrayBuffer);
    static imports(module: Module): { module: string; name: string; kind: ExternKind }[];
    static exports(module: Module): { name: string; kind: ExternKind }[];
    static customSections(module: Module, name: string): ArrayBuffer[];
  }

  class Instance {
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }

  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
    /** Grows by `delta` pages of 64 KiB and answers the size before, in pages. */
    grow(delta: number): number;
  }

  class Table {
    constructor(descriptor: {
      element: 'anyfunc' | 'externref';
      initial: number;
      maximum?: number;
    });
    readonly length: number;
    get(index: number): unknown;
    set(index: number, value?: unknown): void;
    grow(delta: number, value?: unknown): number;
  }

  class Global<T = unknown> {
    constructor(descriptor: { value: string; mutable?: boolean }, value?: T);
    value: T;
    valueOf(): T;
  }

  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}

  function validate(bytes: Uint8Array | ArrayBuffer): boolean;
  function compile(bytes: Uint8Array | ArrayBuffer): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}
