// Another way to count, slow and with no analysis to get wrong: before each operator that costs, and at
// the start of each function, a call to the host that adds 1. What it counts at the end of a run is
// what the schedule says, whatever blocks the metering makes of the code.
import { ByteWriter } from '../../../metering/wasm/byte-writer.ts';
import type { FunctionBody } from '../../../metering/wasm/code-section.ts';
import { decodeModule } from '../../../metering/wasm/decode.ts';
import { encodeModule } from '../../../metering/wasm/encode.ts';
import { importsOf, indexSpaces, type WasmModule } from '../../../metering/wasm/module.ts';
import { OperatorReader } from '../../../metering/wasm/operator-reader.ts';
import { renumberFunctions } from '../../../metering/wasm/renumber.ts';

const CALL = 0x10;
const RETURN_CALL = 0x12;
const REF_FUNC = 0xd2;
/** nop, drop, block, loop, unreachable, return, else, end. */
const FREE = new Set([0x01, 0x1a, 0x02, 0x03, 0x00, 0x0f, 0x05, 0x0b]);

/** The module with a call of `oracle.step` before all that costs. */
export function stepped(wasm: Uint8Array): Uint8Array {
  const module = decodeModule(wasm);
  const step = importsOf(module, 'function').length;
  const renumber = (index: number) => (index < step ? index : index + 1);
  const operators = new OperatorReader(wasm, indexSpaces(module));
  const bodies = module.bodies.map((body) => stepBody(body, { operators, step, renumber }));
  const moved: WasmModule = renumberFunctions(module, renumber);
  return encodeModule({
    ...moved,
    types: [...module.types, { parameters: [], results: [] }],
    imports: [
      ...module.imports,
      {
        module: 'oracle',
        name: 'step',
        thing: { kind: 'function', typeIndex: module.types.length },
        offset: 0,
      },
    ],
    bodies,
  });
}

function stepBody(
  body: FunctionBody,
  {
    operators,
    step,
    renumber,
  }: { operators: OperatorReader; step: number; renumber: (index: number) => number },
): FunctionBody {
  const writer = new ByteWriter();
  const add = () => {
    writer.byte(CALL);
    writer.u32(step);
  };
  add();
  operators.enter(body);
  while (operators.next()) {
    const { opcode, start, end, index } = operators;
    if (!FREE.has(opcode)) add();
    if (opcode === CALL || opcode === RETURN_CALL || opcode === REF_FUNC) {
      writer.byte(opcode);
      writer.u32(renumber(index));
    } else {
      writer.copy(body.source, start, end);
    }
  }
  return { ...body, source: writer.written, start: 0, end: writer.length };
}
