/** Why bytes are not accepted as a module. */
export class WasmError extends Error {
  override readonly name = 'WasmError';
  /** Where in the file, in bytes from its start. */
  readonly offset: number;
  /** What is wrong there, without the offset. */
  readonly reason: string;

  constructor(offset: number, reason: string, options?: ErrorOptions) {
    super(`at byte ${offset}: ${reason}`, options);
    this.offset = offset;
    this.reason = reason;
  }
}
