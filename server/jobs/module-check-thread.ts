// Reads and validates one module after another, beside the event loop: a hostile one costs its sender's
// time, not everyone's. See module-check.ts for the other end.
import { parentPort } from 'node:worker_threads';
import { validateModule, WasmError, whyImportRefused } from '../../metering/metering.ts';
import { moduleFacts } from './module.ts';
import type { CheckAnswer } from './module-check.ts';

const port = parentPort;
if (port === null) throw new Error('checking modules: this file runs as a worker thread');

port.on('message', (bytes: Uint8Array) => {
  void check(bytes).then((answer) => port.postMessage(answer));
});

async function check(bytes: Uint8Array): Promise<CheckAnswer> {
  try {
    const report = await validateModule(bytes);
    for (const wanted of report.imports) {
      const cause = whyImportRefused(wanted);
      if (cause !== null) return { kind: 'refused', offset: wanted.offset, cause };
    }
    return { kind: 'accepted', facts: moduleFacts(report) };
  } catch (cause) {
    if (cause instanceof WasmError) {
      return { kind: 'refused', offset: cause.offset, cause: cause.reason };
    }
    return { kind: 'failed', cause: String(cause) };
  }
}
