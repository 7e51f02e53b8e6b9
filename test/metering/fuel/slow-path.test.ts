import { expect } from 'chai';

import { meterModule } from '../../../metering/metering.ts';
import { decodeModule } from '../../../metering/wasm/decode.ts';
import { everything } from '../samples.ts';
import { wasmOf } from '../wat.ts';

const HINTS = 'metadata.code.branch_hint';
const IF = 0x04;

describe('the slow path of a check', () => {
  it('is hinted as unlikely at the very ifs that metering adds, or hot loops pay for it', () => {
    const { bytes } = meterModule(everything, { maxMemoryPages: 3 });
    const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), HINTS);
    const hints = readHints(new Uint8Array(section!));
    const { bodies } = decodeModule(bytes);
    // One import of the guest's own and two of metering come before its 13 functions.
    expect(hints.map(({ functionIndex }) => functionIndex)).to.deep.equal(
      bodies.map((_, index) => index + 3),
    );
    for (const { functionIndex, offsets } of hints) {
      const { source, start, end, localGroups } = bodies[functionIndex - 3]!;
      // Each count and index of these locals is one byte.
      const bodyStart = start - 1 - 2 * localGroups.length;
      expect(offsets.length).to.be.greaterThan(0);
      for (const offset of offsets) expect(source[bodyStart + offset]).to.equal(IF);
      expect(bodyStart + Math.max(...offsets)).to.be.lessThan(end);
    }
  });

  it('is written for no guest that has no function', () => {
    const { bytes } = meterModule(wasmOf('(module (memory 1))'), { maxMemoryPages: 1 });
    const module = new WebAssembly.Module(bytes);
    expect(WebAssembly.Module.customSections(module, HINTS)).to.deep.equal([]);
  });
});

interface FunctionHints {
  readonly functionIndex: number;
  readonly offsets: readonly number[];
}

/** Reads hints whose numbers are all below 2^14. */
function readHints(bytes: Uint8Array): FunctionHints[] {
  let at = 0;
  const number = () => {
    const low = bytes[at++]!;
    return low < 0x80 ? low : (low & 0x7f) | (bytes[at++]! << 7);
  };
  const hints = Array.from({ length: number() }, () => {
    const functionIndex = number();
    const offsets = Array.from({ length: number() }, () => {
      const offset = number();
      // One byte that says unlikely.
      expect([number(), number()]).to.deep.equal([1, 0]);
      return offset;
    });
    return { functionIndex, offsets };
  });
  expect(at).to.equal(bytes.length);
  return hints;
}
