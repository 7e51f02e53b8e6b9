// The bounds of metering/wasm/limits.ts.
import { expect } from 'chai';

import { meterModule, WasmError } from '../../../metering/metering.ts';
import * as limits from '../../../metering/wasm/limits.ts';
import { wasmOf } from '../wat.ts';
import {
  bodyOf,
  codeOf,
  EMPTY_TYPE,
  moduleOf,
  PREAMBLE,
  refusal,
  section,
  u32,
} from './module-bytes.ts';

describe('the bounds on a module, at and one past each', () => {
  const many = (count: number, text: string) => text.repeat(count);
  const nested = (depth: number) =>
    bodyOf(
      ...Array.from({ length: depth }, () => [0x02, 0x40]).flat(),
      ...Array.from({ length: depth + 1 }, () => 0x0b),
    );
  const bounds: readonly (readonly [
    name: string,
    bound: number,
    make: (count: number) => Uint8Array,
  ])[] = [
    ['nesting', limits.MAX_NESTING, nested],
    [
      'locals',
      limits.MAX_LOCALS,
      (count) => wasmOf(`(module (func (param i32) (local ${many(count - 1, 'i32 ')})))`),
    ],
    [
      'parameters',
      limits.MAX_PARAMETERS,
      (count) => wasmOf(`(module (type (func (param ${many(count, 'i32 ')}))))`),
    ],
    [
      'results',
      limits.MAX_RESULTS,
      (count) => wasmOf(`(module (type (func (result ${many(count, 'i32 ')}))))`),
    ],
    [
      'globals',
      limits.MAX_GLOBALS,
      (count) =>
        wasmOf(
          `(module (import "" "" (global i32)) ${many(count - 1, '(global i32 (i32.const 0))')})`,
        ),
    ],
    [
      'tables',
      limits.MAX_TABLES,
      (count) =>
        wasmOf(`(module (import "" "" (table 0 funcref)) ${many(count - 1, '(table 0 funcref)')})`),
    ],
    [
      'functions',
      limits.MAX_FUNCTIONS,
      (count) =>
        moduleOf(
          EMPTY_TYPE,
          section(2, [1, 0, 0, 0, 0]),
          section(3, [...u32(count - 1), ...Array.from({ length: count - 1 }, () => 0)]),
          section(10, [
            ...u32(count - 1),
            ...Array.from({ length: count - 1 }, () => [2, 0, 0x0b]).flat(),
          ]),
        ),
    ],
    ['body bytes', limits.MAX_BODY_BYTES, (count) => codeOf(count, 0x01)],
    [
      'br_table targets',
      limits.MAX_BR_TABLE_TARGETS,
      (count) =>
        bodyOf(0x41, 0, 0x0e, ...u32(count), ...Array.from({ length: count + 1 }, () => 0), 0x0b),
    ],
    ['values passed in a function', limits.MAX_PASSED_VALUES, (count) => passing([count])],
    [
      'values passed in a module',
      limits.MAX_PASSED_VALUES_IN_MODULE,
      (count) => {
        const whole = Math.floor(count / limits.MAX_PASSED_VALUES);
        const rest = count % limits.MAX_PASSED_VALUES;
        return passing([...Array.from({ length: whole }, () => limits.MAX_PASSED_VALUES), rest]);
      },
    ],
    [
      'elements of all tables',
      limits.MAX_TABLE_ELEMENTS,
      (count) => wasmOf(`(module (table ${count - 7} funcref) (table 7 externref))`),
    ],
    ['module bytes', limits.MAX_MODULE_BYTES, (count) => customOf(count)],
    [
      'name bytes',
      limits.MAX_NAME_BYTES,
      (count) =>
        moduleOf(
          [5, 3, 1, 0, 0],
          section(7, [1, ...u32(count), ...Array.from({ length: count }, () => 0x61), 2, 0]),
        ),
    ],
    [
      'constant operators',
      limits.MAX_CONSTANT_OPERATORS,
      (count) =>
        moduleOf(
          section(6, [
            1,
            0x7f,
            0,
            0x41,
            0,
            ...Array.from({ length: (count - 1) / 2 }, () => [0x41, 1, 0x6a]).flat(),
            ...Array.from({ length: (count - 1) % 2 }, () => 0x6a),
            0x0b,
          ]),
        ),
    ],
  ];
  for (const [name, bound, make] of bounds) {
    it(`takes ${bound} ${name} and V8 compiles them metered; one more is refused`, () => {
      const largest = make(bound);
      expect(refusal(largest)).to.equal(null);
      if (name !== 'constant operators') {
        const metered = meterModule(largest, { maxMemoryPages: 0 }).bytes;
        expect(WebAssembly.validate(metered)).to.equal(true);
      }
      expect(refusal(make(bound + 1))).to.be.instanceOf(WasmError);
    });
  }

  it('counts what calls, returns and every kind of branch pass, so that none fills an engine', () => {
    const results = `(result${' i32'.repeat(1000)})`;
    const values = '(i32.const 0)'.repeat(1000);
    const often = (text: string) => text.repeat(limits.MAX_PASSED_VALUES / 1000);
    for (const operators of [
      often('(call $many)'),
      often('(call_indirect (type $many) (i32.const 0))'),
      often('(br_if 0 (i32.const 0))'),
      often('(br_table 0 (i32.const 0)) '),
      often('(return) '),
      often('(return_call $many) '),
      `(block $out ${results} (br_table ${often('$out ')} $out (i32.const 0)))`,
    ]) {
      const wasm = wasmOf(`(module (type $many (func ${results})) (table 1 funcref)
        (func $many (type $many) ${values})
        (func ${results} ${values} ${operators} unreachable (i32.const 0) (br 0)))`);
      expect(refusal(wasm)?.message, operators.slice(0, 40)).to.match(/pass more than 1000000/);
    }
    const loops = Array.from({ length: 1100 }, () => [0x0d, 0]).flat();
    expect(refusal(bodyOf(0x03, 0x40, 0x41, 0, ...loops, 0x0b, 0x0b))).to.equal(null);
  });

  it('refuses code that metering makes longer than V8 takes, with the body that does it', () => {
    // memory.grow over and over, each by what the one before answered.
    const grow = Array.from({ length: 250_000 }, () => [0x40, 0]).flat();
    const body = [0, 0x41, 0].concat(grow, [0x1a, 0x0b]);
    const wasm = moduleOf(
      EMPTY_TYPE,
      section(3, [1, 0]),
      [5, 3, 1, 0, 1],
      section(10, [1, ...u32(body.length)].concat(body)),
    );
    expect(refusal(wasm)).to.equal(null);
    expect(() => meterModule(wasm, { maxMemoryPages: 1 }))
      .to.throw(WasmError, /metering makes the code too long/)
      .with.property('offset', 32);
  });
});

/** A module of this many bytes, nearly all of them in a custom section. */
function customOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([...PREAMBLE, 0, ...u32(length - PREAMBLE.length - 1 - 4)]);
  return bytes;
}

/** A module whose functions pass these many values each, in code that V8 validates and never runs. */
function passing(values: readonly number[]): Uint8Array {
  const thousand = [0x60, ...u32(1000), ...Array.from({ length: 1000 }, () => 0x7f), 0];
  const bodies = values.map((count) => {
    const blocks = Array.from({ length: Math.floor(count / 1000) }, () => [
      0x02, 1, 0x00, 0x0b,
    ]).flat();
    const rest = Array.from({ length: count % 1000 }, () => [0x02, 0x7f, 0x00, 0x0b, 0x1a]).flat();
    const body = [0, 0x00].concat(blocks, rest, [0x0b]);
    return [...u32(body.length)].concat(body);
  });
  return moduleOf(
    section(1, [2, 0x60, 0, 0, ...thousand]),
    section(3, [...u32(values.length), ...values.map(() => 0)]),
    section(10, [...u32(values.length)].concat(bodies.flat())),
  );
}
