// Random programs in text form that always end: loops count down, calls go to later functions only.
import fc from 'fast-check';

/** Locals 0 to 2 hold values, 3 to 5 count the turns of loops, one for each depth. */
const VALUES = 3;
const MAX_DEPTH = 3;
const FUNCTIONS = 3;

interface Place {
  /** Index of the function. */
  readonly at: number;
  readonly depth: number;
  /** Blocks that a branch may leave: labels from inside out. */
  readonly labels: readonly string[];
}

const local = fc.nat({ max: VALUES - 1 }).map((index) => `(local.get ${index})`);
const constant = fc.integer({ min: -5, max: 300 }).map((value) => `(i32.const ${value})`);

function expression(place: Place, size: number): fc.Arbitrary<string> {
  if (size === 0) return fc.oneof(local, constant);
  const smaller = expression(place, size - 1);
  const binary = fc
    .tuple(fc.constantFrom('add', 'sub', 'mul', 'xor', 'shl', 'lt_s', 'ge_u'), smaller, smaller)
    .map(([operator, left, right]) => `(i32.${operator} ${left} ${right})`);
  const choice = fc
    .tuple(smaller, smaller, smaller)
    .map(([test, yes, no]) => `(if (result i32) ${test} (then ${yes}) (else ${no}))`);
  const select = fc.tuple(smaller, smaller, smaller).map((parts) => `(select ${parts.join(' ')})`);
  const load = smaller.map((index) => `(i32.load8_u (i32.and ${index} (i32.const 255)))`);
  const all = [local, constant, binary, choice, select, load];
  if (place.at + 1 < FUNCTIONS) {
    const call = smaller.map((value) => `(call $f${place.at + 1} ${value})`);
    const indirect = smaller.map(
      (value) => `(call_indirect (type $t) ${value} (i32.const ${place.at + 1}))`,
    );
    all.push(call, indirect);
  }
  return fc.oneof(...all);
}

function statements(place: Place): fc.Arbitrary<string> {
  return fc.array(statement(place), { minLength: 1, maxLength: 4 }).map((all) => all.join('\n'));
}

function statement(place: Place): fc.Arbitrary<string> {
  const value = expression(place, 2);
  const set = fc
    .tuple(fc.nat({ max: VALUES - 1 }), value)
    .map(([index, from]) => `(local.set ${index} ${from})`);
  const store = fc
    .tuple(value, value)
    .map(([index, from]) => `(i32.store8 (i32.and ${index} (i32.const 255)) ${from})`);
  const grow = value.map((pages) => `(drop (memory.grow (i32.and ${pages} (i32.const 1))))`);
  const leave = value.map((result) => `(if ${result} (then (return ${result})))`);
  const simple = [set, store, grow, leave, fc.constant('(nop)')];
  if (place.labels.length > 0) {
    const label = fc.constantFrom(...place.labels);
    simple.push(
      fc.tuple(label, value).map(([to, test]) => `(br_if ${to} ${test})`),
      label.map((to) => `(br ${to})`),
      fc
        .tuple(label, label, label, value)
        .map(([first, second, other, index]) => `(br_table ${first} ${second} ${other} ${index})`),
    );
  }
  if (place.depth === MAX_DEPTH) return fc.oneof(...simple);
  return fc.oneof(
    { weight: 2, arbitrary: fc.oneof(...simple) },
    { weight: 1, arbitrary: nested(place) },
  );
}

function nested(place: Place): fc.Arbitrary<string> {
  const depth = place.depth + 1;
  const name = `$b${depth}`;
  const inside = statements({ ...place, depth, labels: [name, ...place.labels] });
  const block = inside.map((body) => `(block ${name} ${body})`);
  const branch = fc
    .tuple(expression(place, 1), inside, inside)
    .map(([test, yes, no]) => `(if ${name} ${test} (then ${yes}) (else ${no}))`);
  const counter = VALUES + place.depth;
  const loop = fc.tuple(fc.integer({ min: 1, max: 4 }), inside).map(
    ([turns, body]) => `(local.set ${counter} (i32.const ${turns}))
      (loop $l${depth} (block ${name} ${body})
        (br_if $l${depth} (local.tee ${counter} (i32.sub (local.get ${counter}) (i32.const 1)))))`,
  );
  return fc.oneof(block, branch, loop);
}

function functionText(at: number): fc.Arbitrary<string> {
  const place = { at, depth: 0, labels: [] };
  return fc.tuple(statements(place), expression(place, 2)).map(
    ([body, result]) => `(func $f${at} (export "f${at}") (param i32) (result i32)
      (local i32 i32 i32 i32 i32) ${body} ${result})`,
  );
}

/** A module in text form that exports `f0` to `f2`, each (i32) -> (i32), and a memory. */
export const randomProgram: fc.Arbitrary<string> = fc
  .tuple(...Array.from({ length: FUNCTIONS }, (_, at) => functionText(at)))
  .map(
    (functions) => `(module (type $t (func (param i32) (result i32)))
      (memory (export "memory") 1 3) (table 3 funcref) (elem (i32.const 0) $f0 $f1 $f2)
      ${functions.join('\n')})`,
  );
