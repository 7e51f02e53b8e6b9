// The operators that are accepted: their opcodes, as far as anything here asks for them by name, the
// shape of their immediates, and the proposals of those that are not accepted (core specification,
// appendix "Index of Instructions"). An opcode behind a prefix is prefix * 256 + number.

export const Opcode = {
  unreachable: 0x00,
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  drop: 0x1a,
  localGet: 0x20,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eq: 0x46,
  i64LeU: 0x58,
  i64GeU: 0x5a,
  i64Add: 0x7c,
  i64ExtendI32U: 0xad,
  refFunc: 0xd2,
  tableGrow: 0xfc0f,
  tableSize: 0xfc10,
} as const;

export const Immediate = {
  /** Not accepted: `proposalOf` says of which proposal it is. */
  refused: 0,
  none: 1,
  blockType: 2,
  label: 3,
  labels: 4,
  function: 5,
  typeThenTable: 6,
  local: 7,
  global: 8,
  table: 9,
  tableThenTable: 10,
  elementThenTable: 11,
  element: 12,
  data: 13,
  dataThenMemory: 14,
  memory: 15,
  memoryThenMemory: 16,
  /** Alignment and offset; the size of the access is in `accessBytes`. */
  address: 17,
  addressThenLane: 18,
  valueTypes: 19,
  referenceType: 20,
  i32: 21,
  i64: 22,
  bytes1: 23,
  bytes4: 24,
  bytes8: 25,
  bytes16: 26,
} as const;

const plain = new Uint8Array(256);
const bulk = new Uint8Array(32);
const simd = new Uint8Array(256);
const plainAccess = new Uint8Array(256);
const simdAccess = new Uint8Array(256);

function put(table: Uint8Array, from: number, to: number, immediate: number): void {
  table.fill(immediate, from, to + 1);
}

put(plain, 0x00, 0x01, Immediate.none);
put(plain, 0x02, 0x04, Immediate.blockType);
put(plain, 0x05, 0x05, Immediate.none);
put(plain, 0x0b, 0x0b, Immediate.none);
put(plain, 0x0c, 0x0d, Immediate.label);
put(plain, 0x0e, 0x0e, Immediate.labels);
put(plain, 0x0f, 0x0f, Immediate.none);
for (const call of [0x10, 0x12]) put(plain, call, call, Immediate.function);
for (const call of [0x11, 0x13]) put(plain, call, call, Immediate.typeThenTable);
put(plain, 0x1a, 0x1b, Immediate.none);
put(plain, 0x1c, 0x1c, Immediate.valueTypes);
put(plain, 0x20, 0x22, Immediate.local);
put(plain, 0x23, 0x24, Immediate.global);
put(plain, 0x25, 0x26, Immediate.table);
put(plain, 0x28, 0x3e, Immediate.address);
put(plain, 0x3f, 0x40, Immediate.memory);
put(plain, 0x41, 0x41, Immediate.i32);
put(plain, 0x42, 0x42, Immediate.i64);
put(plain, 0x43, 0x43, Immediate.bytes4);
put(plain, 0x44, 0x44, Immediate.bytes8);
put(plain, 0x45, 0xc4, Immediate.none);
put(plain, 0xd0, 0xd0, Immediate.referenceType);
put(plain, 0xd1, 0xd1, Immediate.none);
put(plain, 0xd2, 0xd2, Immediate.function);
plainAccess.set([4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4, 4, 8, 4, 8, 1, 2, 1, 2, 4], 0x28);

put(bulk, 0, 7, Immediate.none);
put(bulk, 8, 8, Immediate.dataThenMemory);
put(bulk, 9, 9, Immediate.data);
put(bulk, 10, 10, Immediate.memoryThenMemory);
put(bulk, 11, 11, Immediate.memory);
put(bulk, 12, 12, Immediate.elementThenTable);
put(bulk, 13, 13, Immediate.element);
put(bulk, 14, 14, Immediate.tableThenTable);
put(bulk, 15, 17, Immediate.table);

put(simd, 0, 11, Immediate.address);
put(simd, 12, 13, Immediate.bytes16);
put(simd, 14, 20, Immediate.none);
put(simd, 21, 34, Immediate.bytes1);
put(simd, 35, 83, Immediate.none);
put(simd, 84, 91, Immediate.addressThenLane);
put(simd, 92, 93, Immediate.address);
put(simd, 94, 255, Immediate.none);
// Numbers that the SIMD proposal left without an operator.
for (const gap of [
  0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2,
  0xd3, 0xd4, 0xe2, 0xee,
]) {
  put(simd, gap, gap, Immediate.refused);
}
simdAccess.set([16, 8, 8, 8, 8, 8, 8, 1, 2, 4, 8, 16], 0);
simdAccess.set([1, 2, 4, 8, 1, 2, 4, 8, 4, 8], 84);

/** The shape of what follows the opcode: one of `Immediate`. */
export function immediateOf(opcode: number): number {
  if (opcode < 256) return plain[opcode]!;
  const number = opcode & 0xff;
  if (opcode >>> 8 === 0xfc) return bulk[number] ?? Immediate.refused;
  return opcode >>> 8 === 0xfd ? simd[number]! : Immediate.refused;
}

/** Bytes that a load or store touches from its address on. */
export function accessBytes(opcode: number): number {
  return opcode < 256 ? plainAccess[opcode]! : simdAccess[opcode & 0xff]!;
}

const PROPOSALS: readonly (readonly [from: number, to: number, proposal: string])[] = [
  [0x06, 0x0a, 'exceptions'],
  [0x14, 0x15, 'typed function references'],
  [0x18, 0x19, 'exceptions'],
  [0x1f, 0x1f, 'exceptions'],
  [0xd3, 0xd3, 'GC'],
  [0xd4, 0xd6, 'typed function references'],
  [0xe0, 0xe6, 'stack switching'],
];

const PREFIX_PROPOSALS: ReadonlyMap<number, string> = new Map([
  [0xfb, 'GC'],
  [0xfe, 'threads'],
]);

/** The proposal of an operator that is not accepted; null when it is of none that is known. */
export function proposalOf(opcode: number): string | null {
  for (const [from, to, proposal] of PROPOSALS) {
    if (opcode >= from && opcode <= to) return proposal;
  }
  return null;
}

/** The proposal whose operators all stand behind this prefix byte. */
export function proposalOfPrefix(prefix: number): string | undefined {
  return PREFIX_PROPOSALS.get(prefix);
}

/** The proposal of a number behind a prefix that is otherwise accepted. */
export function proposalBehindPrefix(prefix: number, number: number): string | null {
  if (prefix === 0xfc && number >= 19 && number <= 22) return 'wide arithmetic';
  if (prefix !== 0xfd || number < 0x100) return null;
  return number < 0x120 ? 'relaxed SIMD' : 'half precision';
}
