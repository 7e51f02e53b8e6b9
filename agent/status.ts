// What an agent tells whoever looks into its data folder: written after each accepted beat, read by
// `agent status`, also of an agent that has stopped.
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

export function writeStatus(folder: AgentFolder, status: AgentStatus): void {
  writeFileWhole(folder.statusFile, `${JSON.stringify(status)}\n`);
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
