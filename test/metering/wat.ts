// Modules for tests, written as text.
import loadWabt from 'wabt';

const wabt = await loadWabt();

const FEATURES = {
  exceptions: true,
  extended_const: true,
  function_references: true,
  gc: true,
  memory64: true,
  relaxed_simd: true,
  tail_call: true,
  threads: true,
};

/** The binary form of a module in text form. */
export function wasmOf(wat: string): Uint8Array {
  const module = wabt.parseWat('test', wat, FEATURES);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}
