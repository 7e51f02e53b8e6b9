// What a sandbox process may hold of its machine's memory. The cap of a job bounds its linear memory
// alone; V8's compilers take what a module makes them take (a function of 450 KB with 10,000 locals and
// 6,000 loops: 3.5 GB in 5 s, and no end), on threads that nothing else stops.

/** How often the process looks: a compiler takes some 20 MB in that time. */
export const RESIDENT_WATCH_MS = 20;

/** Node itself (120 MB), and reading, rewriting and compiling of the largest module (700 MB measured). */
const OVERHEAD_BYTES = 1024 * 1024 * 1024;

/** Input and output are held on both threads, and once more while they cross. */
const COPIES = 3;

/** Bytes of resident memory at which the process gives up; the sizes are those of its run. */
export function maxResidentBytes(run: {
  readonly memoryBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
}): number {
  return OVERHEAD_BYTES + run.memoryBytes + COPIES * (run.inputBytes + run.outputBytes);
}
