import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { factOf, isPassing } from '../control-plane/rpc-failure.ts';

/** What the control plane may ask for at most; its limits are per minute. */
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * Calls until it answers, fails for good, or the signal is aborted: waits as the control plane asks
 * (`retry_after_ms`), or with full jitter. Only for calls that are safe to repeat.
 */
export async function untilAnswered<T>(
  call: () => Promise<T>,
  {
    clock,
    random,
    signal,
    isFinal,
    onFailure,
  }: {
    readonly clock: Clock;
    readonly random: Random;
    readonly signal: AbortSignal;
    /** Asked after a failure that would pass by its code. */
    readonly isFinal: () => boolean;
    readonly onFailure: (error: unknown) => void;
  },
): Promise<T> {
  const startedMs = clock.now();
  for (let failedAttempts = 1; ; failedAttempts++) {
    try {
      return await call();
    } catch (error) {
      if (!isPassing(error) || isFinal()) throw error;
      if (signal.aborted) throw signal.reason;
      onFailure(error);
      const asked = Number(factOf(error, 'retry_after_ms') ?? 0);
      const sinceLossMs = clock.now() - startedMs;
      const delayMs = reconnectDelayMs({ failedAttempts, leaseHeld: false, sinceLossMs }, random);
      await pause(clock, Math.max(delayMs, Math.min(asked, MAX_RETRY_AFTER_MS) || 0), signal);
      if (signal.aborted) throw signal.reason;
    }
  }
}
