// Every bound that is placed on the bytes of a module before V8 sees them. Each is at or below V8's own
// limit (src/wasm/wasm-limits.h), so that what is accepted here never fails there for its size, and
// small enough that reading, rewriting and compiling one module stays within a second or so.

/** 16 MiB: the largest module that a node has to fetch, keep and compile; Go programs take 2 to 10. */
export const MAX_MODULE_BYTES = 16 * 1024 * 1024;

/** 512 KiB: V8's optimizing compiler takes more than linear time and memory in the size of a function. */
export const MAX_BODY_BYTES = 512 * 1024;

/** Functions, imported ones included: each costs V8 a few hundred bytes before it runs. */
export const MAX_FUNCTIONS = 50_000;

/** Parameters and locals of one function: each takes a stack slot in every frame. */
export const MAX_LOCALS = 10_000;

/** Parameters of a function type, and results of one: V8's own limit for both. */
export const MAX_PARAMETERS = 1_000;
export const MAX_RESULTS = 1_000;

/** Targets of one br_table, without its default: V8's own limit is 65,520. */
export const MAX_BR_TABLE_TARGETS = 65_520;

/** Blocks inside one another: our readers keep a stack on the heap, but V8's compiler need not. */
export const MAX_NESTING = 1_000;

/** Globals, imported ones included: real programs have a handful. */
export const MAX_GLOBALS = 1_000;

/** Tables, imported ones included. */
export const MAX_TABLES = 100;

/**
 * Elements of one table, of all tables together as they start, and of one segment: V8 takes 32 bytes for
 * each, outside of the memory that a job is given.
 */
export const MAX_TABLE_ELEMENTS = 1_000_000;

/**
 * Values that blocks, calls and branches of one function pass: V8's validation takes some 50 bytes for
 * each, its compilers several times as much. Code that pushes what it passes cannot come near.
 */
export const MAX_PASSED_VALUES = 1_000_000;

/** The same of all functions together: one for each byte of the largest module, some seconds of V8. */
export const MAX_PASSED_VALUES_IN_MODULE = 16_000_000;

/** Function types. */
export const MAX_TYPES = 10_000;

/** One memory: a second one is of the multi-memory proposal. */
export const MAX_MEMORIES = 1;

/** Pages of 64 KiB that 32-bit addresses reach. */
export const MAX_MEMORY_PAGES = 65_536;

/** Imports: there are some 60 host functions to import. */
export const MAX_IMPORTS = 10_000;

/** Exports: every function and more besides. */
export const MAX_EXPORTS = 100_000;

/** Data and element segments: V8's limit for data is 100,000. */
export const MAX_SEGMENTS = 100_000;

/** Bytes of one name: V8's limit for a string in a module. */
export const MAX_NAME_BYTES = 100_000;

/** Operators of one constant expression: no stack of ours or V8's grows with more. */
export const MAX_CONSTANT_OPERATORS = 1_000;

/**
 * One body as metering writes it: V8 refuses longer ones. Real programs grow by a half, a body that is
 * nothing but memory.grow thirtyfold.
 */
export const MAX_METERED_BODY_BYTES = 7_654_321;

/** 64 MiB: all bodies as metering writes them, four times the largest module, so that V8 has an end. */
export const MAX_METERED_BYTES = 64 * 1024 * 1024;
