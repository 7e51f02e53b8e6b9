// What a stranger's bytes may try on the reader.
import { expect } from 'chai';
import fc from 'fast-check';

import { meterModule } from '../../../metering/metering.ts';
import * as limits from '../../../metering/wasm/limits.ts';
import { everything, samples } from '../samples.ts';
import { bodyOf, EMPTY_TYPE, moduleOf, refusal, section, u32 } from './module-bytes.ts';

describe('the reader, given hostile bytes', () => {
  for (const [name, wasm] of samples) {
    it(`refuses a module cut off at any byte with the offset, or it is whole: ${name}`, () => {
      for (let length = 0; length < wasm.length; length++) {
        const cut = wasm.slice(0, length);
        const error = refusal(cut);
        if (error === null) expect(WebAssembly.validate(cut), `cut at ${length}`).to.equal(true);
        else expect(error.offset).to.be.within(0, length);
      }
    });
  }

  it('never fails in another way than WasmError on changed bytes, and meters only what is valid', () => {
    const change = fc.record({
      at: fc.nat({ max: everything.length - 1 }),
      byte: fc.nat({ max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = everything.slice();
        for (const { at, byte } of changes) bytes[at] = byte;
        if (refusal(bytes) !== null) return;
        const metered = meterModule(bytes, { maxMemoryPages: limits.MAX_MEMORY_PAGES }).bytes;
        expect(WebAssembly.validate(metered)).to.equal(WebAssembly.validate(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  const hostile: readonly (readonly [
    what: string,
    bytes: Uint8Array,
    offset: number,
    why: RegExp,
  ])[] = [
    ['nothing', new Uint8Array(), 0, /1 more bytes are needed where 0 are left/],
    ['text', new TextEncoder().encode('(module)'), 0, /no WebAssembly/],
    ['version 2', new Uint8Array([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), 4, /version .* 02 00 00 00/],
    [
      'a component',
      new Uint8Array([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]),
      4,
      /components are not run yet/,
    ],
    [
      'a number of six bytes',
      moduleOf([1, 0x80, 0x80, 0x80, 0x80, 0x80, 0]),
      9,
      /longer than 32 bits/,
    ],
    [
      'a number above 32 bits',
      moduleOf([1, 0xff, 0xff, 0xff, 0xff, 0x1f]),
      9,
      /longer than 32 bits/,
    ],
    [
      'a section longer than the file',
      moduleOf([1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
      14,
      /4294967295 more bytes/,
    ],
    ['a section that is not used up', moduleOf([1, 2, 0, 0]), 11, /1 bytes are left in section 1/],
    ['a section twice', moduleOf([1, 1, 0], [1, 1, 0]), 11, /comes twice/],
    ['sections out of order', moduleOf([3, 1, 0], [1, 1, 0]), 11, /comes twice or after/],
    ['an unknown section', moduleOf([14, 0]), 8, /14 is the id of no section/],
    ['10,001 types', moduleOf(section(1, u32(10_001))), 10, /10001 types are more than 10000/],
    ['types that cannot be there', moduleOf(section(1, u32(10_000))), 10, /do not fit/],
    ['a function of no type', moduleOf(EMPTY_TYPE, section(3, [1, 1])), 17, /type 1 is not there/],
    [
      'functions without bodies',
      moduleOf(EMPTY_TYPE, section(3, [1, 0])),
      18,
      /bodies of 1 functions are missing/,
    ],
    [
      'bodies without functions',
      moduleOf(section(10, [1, 2, 0, 0x0b])),
      10,
      /1 function bodies stand for 0/,
    ],
    ['a name that is not UTF-8', moduleOf(section(2, [1, 1, 0xff, 0, 0, 0])), 11, /not UTF-8/],
    ['an export of nothing', moduleOf(section(7, [1, 0, 0, 0])), 13, /function 0 is not there/],
    [
      'an export twice',
      moduleOf([5, 3, 1, 0, 0], section(7, [2, 0, 2, 0, 0, 2, 0])),
      19,
      /"" is exported twice/,
    ],
    ['a start of nothing', moduleOf([8, 1, 0]), 10, /function 0 is not there/],
    [
      'a start that takes a parameter',
      moduleOf(section(1, [1, 0x60, 1, 0x7f, 0]), [3, 2, 1, 0], [8, 1, 0]),
      21,
      /no parameters and no results/,
    ],
    [
      'a reference to a function that is not declared',
      bodyOf(0xd2, 0, 0x1a, 0x0b),
      23,
      /function 0 is not declared/,
    ],
    [
      'a memory of 65,537 pages',
      moduleOf(section(5, [1, 0, ...u32(65_537)])),
      12,
      /larger than 65536/,
    ],
    [
      'a maximum of 65,537 pages',
      moduleOf(section(5, [1, 1, 0, ...u32(65_537)])),
      11,
      /more than 65536/,
    ],
    [
      'a maximum below the minimum',
      moduleOf([5, 4, 1, 1, 2, 1]),
      13,
      /maximum of 1 below its minimum of 2/,
    ],
    [
      'a table of 1,000,001 elements',
      moduleOf(section(4, [1, 0x70, 0, ...u32(1_000_001)])),
      13,
      /larger than 1000000/,
    ],
    ['data without a memory', moduleOf(section(11, [1, 0, 0x41, 0, 0x0b, 0])), 11, /no memory/],
    [
      'data longer than its memory',
      moduleOf([5, 4, 1, 1, 0, 0], section(11, [1, 0, 0x41, 0, 0x0b, 1, 7])),
      21,
      /never be within/,
    ],
    ['announced data that is missing', moduleOf([12, 1, 3]), 11, /3 announced data segments/],
    [
      'a constant that calls',
      moduleOf(section(6, [1, 0x7f, 0, 0x10, 0, 0x0b])),
      13,
      /0x10 starts no operator of a constant/,
    ],
    [
      'a global that names a later one',
      moduleOf(section(6, [1, 0x7f, 0, 0x23, 0, 0x0b])),
      14,
      /global 0 is not there/,
    ],
    ['a body without end', bodyOf(0x01), 24, /1 more bytes are needed/],
    ['a body after its end', bodyOf(0x0b, 0x01), 24, /1 bytes are left in a function body/],
    ['an else without an if', bodyOf(0x05, 0x0b), 23, /else stands outside/],
    [
      'an else twice',
      bodyOf(0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b, 0x0b),
      28,
      /else stands outside/,
    ],
    ['an unknown operator', bodyOf(0xff, 0x0b), 23, /0xff starts no operator/],
    [
      'a call of the function behind the last',
      bodyOf(0x10, 1, 0x0b),
      24,
      /function 1 is not there/,
    ],
    ['a local that is not there', bodyOf(0x20, 0, 0x1a, 0x0b), 24, /local 0 is not there/],
    ['a global that is not there', bodyOf(0x23, 0, 0x1a, 0x0b), 24, /global 0 is not there/],
    ['a label that is not there', bodyOf(0x0c, 1, 0x0b), 24, /label 1 is not there/],
    ['a block of a type that is not there', bodyOf(0x02, 1, 0x0b, 0x0b), 24, /type 1 of 1/],
    [
      'an i32 of six bytes',
      bodyOf(0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x1a, 0x0b),
      24,
      /longer than 32 bits/,
    ],
    [
      'an i64 of eleven bytes',
      bodyOf(0x42, ...Array.from({ length: 10 }, () => 0x80), 0, 0x1a, 0x0b),
      24,
      /longer than 64 bits/,
    ],
    ['a load without a memory', bodyOf(0x41, 0, 0x28, 2, 0, 0x1a, 0x0b), 25, /module has none/],
    ['a br_table beyond the body', bodyOf(0x41, 0, 0x0e, ...u32(65_520), 0x0b), 26, /do not fit/],
    ['a br_table of 65,521', bodyOf(0x41, 0, 0x0e, ...u32(65_521), 0x0b), 26, /more than 65520/],
  ];
  for (const [what, bytes, offset, why] of hostile) {
    it(`names the byte and the reason: ${what}`, () => {
      const error = refusal(bytes);
      expect(error?.reason).to.match(why);
      expect(error?.offset).to.equal(offset);
    });
  }
});
