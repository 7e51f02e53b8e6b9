// `agent enrol` on a data folder: what is there already decides how.
import { AgentError } from '../error.ts';
import { lockFolder, type AgentFolder } from '../folder.ts';
import { openIdentity, type NodeIdentity } from '../identity/identity.ts';
import { certificateStanding } from '../identity/renewal.ts';
import { enrol, type EnrolOptions } from './enrol.ts';

/**
 * Enrols the folder's machine. An identity that is still good is left alone (AgentError ALREADY_ENROLLED)
 * unless `replace` is set; one that ended at most 7 days ago proves the node without a browser.
 */
export async function enrolFolder(options: Omit<EnrolOptions, 'old'>): Promise<NodeIdentity> {
  const unlock = lockFolder(options.folder);
  try {
    return await enrol({ ...options, old: options.replace ? null : recoverable(options) });
  } finally {
    unlock();
  }
}

/** The expired identity to come back with; null where there was never one. */
function recoverable({
  folder,
  clock,
}: Pick<EnrolOptions, 'clock'> & { readonly folder: AgentFolder }): NodeIdentity | null {
  const identity = identityIn(folder);
  if (identity === null) return null;
  const standing = certificateStanding(clock.now(), identity.certificate);
  switch (standing) {
    case 'valid':
      throw new AgentError(
        'ALREADY_ENROLLED',
        `enrolling: '${folder.path}' already holds the node '${identity.nodeId}'; start it with 'agent run', or give --replace for a new key`,
      );
    case 'recoverable':
      return identity;
    case 'ended':
      throw new AgentError(
        'IDENTITY_EXPIRED',
        `enrolling: the certificate of '${identity.nodeId}' ended more than 7 days ago; give --replace and connect the account again`,
      );
    default:
      return standing satisfies never;
  }
}

function identityIn(folder: AgentFolder): NodeIdentity | null {
  try {
    return openIdentity(folder);
  } catch (error) {
    if (error instanceof AgentError && error.reason === 'NOT_ENROLLED') return null;
    throw error;
  }
}
