// Who did what to what. An entry is written in the transaction of the act: no entry, no act.

export interface AuditAct {
  /** `operator/o-...`, `node/n-...`, `client/c-...` or `control-plane`. */
  readonly actor: string;
  /** In capitals: NODE_ENROLLED, CLIENT_CREDITED, ... */
  readonly action: string;
  /** What it was done to: an id. */
  readonly subject: string;
  /** Further facts, by name. Never a secret. */
  readonly details?: Readonly<Record<string, string>>;
}
