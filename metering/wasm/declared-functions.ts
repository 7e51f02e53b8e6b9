// Functions that ref.func may name in a body: those that the module names outside of bodies (core
// specification, section 3.4.10, "refs"). Checked here, as what metering exports counts as naming too.

import { visitFunctions } from './constant-expression.ts';
import { indexSpaces, type WasmModule } from './module.ts';

/** For each function, whether it is declared: 1 or 0. */
export function declaredFunctions(module: WasmModule): Uint8Array {
  const declared = new Uint8Array(indexSpaces(module).functions);
  const declare = (functionIndex: number) => {
    declared[functionIndex] = 1;
  };
  for (const { initial } of module.globals) visitFunctions(initial, declare);
  for (const { kind, index } of module.exports) if (kind === 'function') declare(index);
  for (const { items } of module.elements) {
    if (items.kind === 'functions') items.indices.forEach(declare);
    else visitFunctions(items.expressions, declare);
  }
  return declared;
}
