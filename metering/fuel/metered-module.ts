// What metering adds to a module, by name: the contract between a metered guest and its host.

/** Names of what a metered module imports. A guest that imports from this module is refused. */
export const IMPORTS = {
  module: 'gap-junction/metering',
  /** `(counter: i64) -> ()`: called at a check that finds the counter at or past the grant. */
  refill: 'refill',
  /** `() -> ()`: called when growth within the limit failed on this host. */
  growthFailed: 'growth_failed',
} as const;

/** What the names of exports added by metering begin with. A guest that exports such a name is refused. */
export const RESERVED_EXPORT_PREFIX = 'gap-junction/metering:';

export const EXPORTS = {
  counter: `${RESERVED_EXPORT_PREFIX}counter`,
  grant: `${RESERVED_EXPORT_PREFIX}grant`,
  memory: `${RESERVED_EXPORT_PREFIX}memory`,
  start: `${RESERVED_EXPORT_PREFIX}start`,
} as const;

export interface MeteredModule {
  readonly bytes: Uint8Array;
  readonly exports: {
    /** Mutable i64 global: fuel used so far. */
    readonly counter: string;
    /** Mutable i64 global: the counter at which the guest asks for more. */
    readonly grant: string;
    /** The memory, whether or not the guest exports it too; null when there is none. */
    readonly memory: string | null;
    /** What was the start function: to be called, after `attach`, before anything else; null without. */
    readonly start: string | null;
  };
}
