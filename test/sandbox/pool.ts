// One pool for the tests of a file, closed after them.
import { SandboxPool } from '../../sandbox/sandbox.ts';
import type { GuestOutcome, GuestSpec } from '../../sandbox/sandbox.ts';

export interface TestPool {
  readonly pool: () => SandboxPool;
  readonly run: (spec: GuestSpec, signal?: AbortSignal) => Promise<GuestOutcome>;
}

/** To be called inside `describe`. */
export function withPool(maxProcesses = 2): TestPool {
  let pool: SandboxPool;
  before(() => {
    pool = new SandboxPool({ maxProcesses, idleMs: 60_000 });
  });
  after(async () => {
    await pool.close();
  });
  return {
    pool: () => pool,
    run: async (spec, signal) => await pool.run('key', spec, signal && { signal }),
  };
}
