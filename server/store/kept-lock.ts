// An advisory lock that is taken again when its session ends, as when PostgreSQL restarts: nobody can use
// the database meanwhile, so whoever has the lock afterwards is who may.
import type { Clock } from '../clock.ts';
import { LockRefused, takeAdvisoryLock, type AdvisoryLock } from './advisory-lock.ts';
import type { EntityManager } from './store.ts';

const RETRY_INTERVAL_MS = 1_000;

export interface KeptLockOptions {
  readonly name: Pick<Parameters<typeof takeAdvisoryLock>[1], 'key' | 'mode' | 'refusal'>;
  readonly clock: Clock;
  /** Another server took the lock: this one has to stop. */
  readonly onLost?: ((cause: unknown) => void) | undefined;
}

/** Rejects when another session holds the lock. */
export async function keepAdvisoryLock(
  em: EntityManager,
  { name, clock, onLost }: KeptLockOptions,
): Promise<AdvisoryLock> {
  let isReleased = false;
  let cancelRetry: () => void = () => undefined;
  const take = () => takeAdvisoryLock(em, { ...name, clock, onLost: beginAgain });
  let taking: Promise<void> = Promise.resolve();
  let lock = await take();

  function beginAgain(): void {
    if (!isReleased) taking = takeAgain();
  }

  async function takeAgain(): Promise<void> {
    try {
      lock = await take();
    } catch (cause) {
      if (cause instanceof LockRefused) onLost?.(cause);
      else cancelRetry = clock.after(RETRY_INTERVAL_MS, beginAgain);
    }
  }

  return {
    async release() {
      isReleased = true;
      cancelRetry();
      await taking;
      await lock.release();
    },
  };
}
