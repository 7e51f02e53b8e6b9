// The custom section "metadata.code.branch_hint" (WebAssembly branch hinting proposal), which tells an
// engine which way an if goes. It stands before the code section. A guest's own is dropped when a module
// is read: its offsets are wrong after a rewriting.

import { ByteWriter } from './byte-writer.ts';
import { writeLocalGroups, type FunctionBody } from './code-section.ts';

const NAME = 'metadata.code.branch_hint';
const HINT_BYTES = 1;
const UNLIKELY = 0;

export function hasBranchHints(bodies: readonly FunctionBody[]): boolean {
  return bodies.some(({ unlikely = [] }) => unlikely.length > 0);
}

/** Writes the hints of all bodies; `firstFunction` is the index of the first one. */
export function writeBranchHintSection(
  writer: ByteWriter,
  { bodies, firstFunction }: { bodies: readonly FunctionBody[]; firstFunction: number },
): void {
  writer.name(NAME);
  writer.u32(bodies.filter(({ unlikely = [] }) => unlikely.length > 0).length);
  const locals = new ByteWriter();
  for (const [index, { localGroups, unlikely = [] }] of bodies.entries()) {
    if (unlikely.length === 0) continue;
    // Offsets count from the start of the body, where its locals are.
    locals.clear();
    writeLocalGroups(locals, localGroups);
    writer.u32(firstFunction + index);
    writer.u32(unlikely.length);
    for (const offset of unlikely) {
      writer.u32(locals.length + offset);
      writer.u32(HINT_BYTES);
      writer.byte(UNLIKELY);
    }
  }
}
