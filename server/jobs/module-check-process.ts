// Reads and validates one module after another, in a process of its own: a hostile one costs its sender's
// time, not everyone's. See module-check.ts for the other end.
import { validateModule, WasmError, whyImportRefused } from '../../metering/metering.ts';
import { systemClock } from '../clock.ts';
import { moduleFacts } from './module.ts';
import type { CheckAnswer } from './module-check.ts';

/** The dearest module within the bounds of metering takes 540 MB to validate. */
const MAX_RESIDENT_BYTES = 1_500_000_000;
/** Compilers fill some gigabytes in a second. */
const WATCH_INTERVAL_MS = 20;

process.on('message', (bytes: Uint8Array) => {
  void check(bytes).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit());
systemClock.every(WATCH_INTERVAL_MS, () => {
  if (process.memoryUsage.rss() > MAX_RESIDENT_BYTES) process.exit(1);
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
