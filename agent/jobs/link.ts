import type { Connection } from '../control-plane/connection.ts';

/** How jobs reach the control plane: over whatever connection is up. */
export interface Link {
  /**
   * A connection over which a beat was accepted, waiting for one where there is none. Rejects with the
   * signal's reason when it is aborted.
   */
  connection(signal: AbortSignal): Promise<Connection>;
}
