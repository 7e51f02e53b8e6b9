// Passes every function index outside of bodies through one function: exports, the start section,
// globals, and both forms of element segments. Bodies are re-numbered by who rewrites them.

import { renumberConstantBytes, type ConstantBytes } from './constant-expression.ts';
import type { ElementSegment } from './element-section.ts';
import type { WasmModule } from './module.ts';

export function renumberFunctions(
  module: WasmModule,
  renumber: (functionIndex: number) => number,
): WasmModule {
  const constant = (bytes: ConstantBytes) => renumberConstantBytes(bytes, renumber);
  return {
    ...module,
    globals: module.globals.map(({ type, initial }) => ({ type, initial: constant(initial) })),
    exports: module.exports.map((one) =>
      one.kind === 'function' ? { ...one, index: renumber(one.index) } : one,
    ),
    start: module.start === null ? null : renumber(module.start),
    elements: module.elements.map(({ mode, items }): ElementSegment => ({
      mode: mode.kind === 'active' ? { ...mode, offset: constant(mode.offset) } : mode,
      items:
        items.kind === 'functions'
          ? { kind: 'functions', indices: items.indices.map(renumber) }
          : { ...items, expressions: constant(items.expressions) },
    })),
    data: module.data.map(({ offset, bytes }) => ({
      offset: offset === null ? null : constant(offset),
      bytes,
    })),
  };
}
