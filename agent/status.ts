// What an agent tells whoever looks into its data folder: written after each accepted beat, read by
// `agent status`, also of an agent that has stopped.
import type { Logger } from 'pino';
import { z } from 'zod';

import { readFileIfThere, writeFileWhole } from './durable-file.ts';
import type { AgentFolder } from './folder.ts';

/** As many attempts as a beat can name, with room. */
const MAX_STATUS_BYTES = 262_144;

const StatusSchema = z.strictObject({
  nodeId: z.string(),
  /** Of the agent that wrote this. */
  pid: z.int(),
  address: z.string(),
  slots: z.int(),
  lastBeatMs: z.int(),
  certificateExpiresAtMs: z.int(),
  attemptIds: z.array(z.string()),
  /** In decimal: more than a JSON number holds. */
  fuelSinceStart: z.string(),
});

export type AgentStatus = z.output<typeof StatusSchema>;

/**
 * The status file. Where it cannot be written, as on a full disk, the node works on: it can still hand in
 * what it has signed.
 */
export class StatusFile {
  readonly #path: string;
  readonly #log: Logger;
  #isFailing = false;

  constructor(folder: AgentFolder, log: Logger) {
    this.#path = folder.statusFile;
    this.#log = log;
  }

  /** Never throws. Logs the first of several failures in a row, and their end. */
  write(status: AgentStatus): void {
    try {
      writeFileWhole(this.#path, `${JSON.stringify(status)}\n`);
    } catch (cause) {
      if (!this.#isFailing) {
        this.#log.warn(
          { err: cause },
          "writing the status failed; the node works on, but 'agent status' shows an old one",
        );
      }
      this.#isFailing = true;
      return;
    }
    if (this.#isFailing) this.#log.info('the status can be written again');
    this.#isFailing = false;
  }
}

/** Null where no agent has written one, or what is there is none. */
export function readStatus(folder: AgentFolder): AgentStatus | null {
  const bytes = readFileIfThere(folder.statusFile);
  if (bytes === null || bytes.length > MAX_STATUS_BYTES) return null;
  try {
    return StatusSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return null;
  }
}
