// Where the control plane keeps its tables.

export type StoreLocation =
  /** PGlite in this process; gone when it closes. */
  | { readonly kind: 'memory' }
  /** PGlite in a folder that only this process may open. */
  | { readonly kind: 'folder'; readonly path: string }
  /** PostgreSQL 15 or newer. The URL holds a password: never printed. */
  | { readonly kind: 'postgresql'; readonly url: string };
