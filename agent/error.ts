/** Why an agent cannot go on, in a word that a program can act on. */
export type AgentErrorReason =
  | 'FOLDER_IN_USE'
  | 'NOT_ENROLLED'
  | 'ALREADY_ENROLLED'
  | 'IDENTITY_DAMAGED'
  | 'IDENTITY_EXPIRED'
  | 'CONTROL_PLANE_UNTRUSTED'
  | 'CONTROL_PLANE_UNREACHABLE'
  | 'OPTION_REFUSED'
  | 'ENROLMENT_REFUSED'
  | 'ENROLMENT_TIMED_OUT'
  | 'NODE_NOT_ALLOWED'
  | 'NODE_SUPERSEDED';

/** An expected failure; its message says what was being done and what the owner can do. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly reason: AgentErrorReason;

  constructor(reason: AgentErrorReason, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.reason = reason;
  }
}
