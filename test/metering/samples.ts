// Modules that between them have every section, every form of segment and every kind of immediate.
import { wasmOf } from './wat.ts';

const SAMPLES: Readonly<Record<string, string>> = {
  everything: `(module
    (type $unary (func (param i32) (result i32)))
    (type $pair (func (param i32 i64) (result i64 i32)))
    (import "env" "id" (func $id (type $unary)))
    (import "env" "g" (global $imported i32))
    (import "env" "t" (table $shared 300 funcref))
    (table $own 4 8 funcref)
    (table $hosts 2 externref)
    (memory (export "memory") 1 3)
    (global $count (mut i32) (i32.const 7))
    (global $wide (mut v128) (v128.const i32x4 1 2 3 4))
    (global $ref funcref (ref.func $double))
    (global $float f64 (f64.const -0x1.8p-3))
    (elem $active (table $own) (i32.const 1) func $double $id)
    (elem $computed (table $own) (offset (i32.add (i32.const 1) (i32.const 2))) funcref
      (ref.func $swap))
    (elem $passive funcref (ref.func $double) (ref.null func))
    (elem declare func $start)
    (data (i32.const 8) "active")
    (data $later "passive")
    (start $start)
    (func $start (global.set $count (i32.const 40)))
    (func $double (export "double") (type $unary) (i32.mul (local.get 0) (i32.const 2)))
    (func $swap (export "swap") (type $pair) (local f32 f32 i64)
      (local.set 4 (local.get 1)) (local.get 4) (local.get 0))
    (func (export "indirect") (param i32 i32) (result i32)
      (call_indirect $own (type $unary) (local.get 0) (local.get 1)))
    (func (export "counted") (result i32)
      (call $double (global.get $count)))
    (func (export "copied") (result i32)
      (memory.init $later (i32.const 100) (i32.const 0) (i32.const 7))
      (data.drop $later)
      (table.init $own $passive (i32.const 0) (i32.const 0) (i32.const 1))
      (elem.drop $passive)
      (memory.copy (i32.const 200) (i32.const 100) (i32.const 7))
      (memory.fill (i32.const 300) (i32.const 9) (i32.const 2))
      (i32.add (i32.load8_u (i32.const 200)) (i32.load16_u (i32.const 300))))
    (func (export "simd") (result i32)
      (i32x4.extract_lane 2
        (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
          (i32x4.add (global.get $wide) (v128.const i32x4 10 20 30 40))
          (v128.load32_lane 1 (i32.const 8) (global.get $wide)))))
    (func (export "references") (param externref) (result i32)
      (table.set $hosts (i32.const 0) (local.get 0))
      (drop (table.grow $own (ref.null func) (i32.const 1)))
      (i32.add (ref.is_null (table.get $hosts (i32.const 0)))
        (i32.add (table.size $own) (ref.is_null (ref.func $start)))))
    (func (export "switch") (param i32) (result i32)
      (block $c (block $b (block $a (br_table $a $b $c (local.get 0)))
        (return (i32.const 10))) (return (i32.const 20)))
      (select (result i32) (i32.const 30) (i32.const 31) (i32.eqz (local.get 0))))
    (func (export "multi") (param i32) (result i32)
      (local.get 0) (i32.const 3)
      (loop $again (param i32 i32) (result i32)
        (i32.sub) (local.tee 0) (i32.const 3)
        (br_if $again (i32.gt_s (local.get 0) (i32.const 3)))
        (i32.add)))
    (func (export "converted") (param f64) (result i64)
      (i64.extend8_s (i64.trunc_sat_f64_s (local.get 0))))
    (func (export "grown") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "tail") (param i32) (result i32) (return_call $double (local.get 0))))`,
  empty: '(module)',
  'only imports': `(module (import "env" "mem" (memory 1)) (import "env" "nop" (func))
    (data (i32.const 0) "x"))`,
  externrefs: `(module (table 3 externref) (elem (table 0) (i32.const 0) externref (ref.null extern)))`,
  command: `(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 0))))`,
};

export const samples: readonly (readonly [name: string, wasm: Uint8Array])[] = Object.entries(
  SAMPLES,
).map(([name, wat]) => [name, wasmOf(wat)] as const);

export const everything: Uint8Array = samples[0]![1];

/** What `everything` imports, made anew for each instance. */
export function everythingImports(): WebAssembly.Imports {
  return {
    env: {
      id: (value: number) => value,
      g: 5,
      t: new WebAssembly.Table({ element: 'anyfunc', initial: 300 }),
    },
  };
}
