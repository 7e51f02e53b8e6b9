// What an owner says of the machine, for jobs that ask for it. Nobody checks it.
import { AgentError } from './error.ts';

export type Labels = Readonly<Record<string, string>>;

/** The contract's bounds (Introduction.labels). */
const MAX_LABELS = 16;
const MAX_CHARACTERS = 63;
const KEY = /^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$/;

/** Reads `key=value` texts. Throws AgentError OPTION_REFUSED for what the contract does not take. */
export function parseLabels(texts: readonly string[]): Labels {
  const labels = new Map(texts.map(parseLabel));
  if (labels.size < texts.length) throw refused(texts.join(' '), 'name each key once');
  if (labels.size > MAX_LABELS) throw refused(texts.join(' '), `give at most ${MAX_LABELS}`);
  return Object.fromEntries(labels);
}

function parseLabel(text: string): [key: string, value: string] {
  const at = text.indexOf('=');
  const key = text.slice(0, at);
  const value = text.slice(at + 1);
  if (at < 0 || !KEY.test(key) || key.length > MAX_CHARACTERS) {
    throw refused(
      text,
      `give key=value, the key at most ${MAX_CHARACTERS} characters of a-z, 0-9 and '._/-' that begin and end with a letter or digit`,
    );
  }
  if (value.length > MAX_CHARACTERS || /\p{Cc}/u.test(value)) {
    throw refused(
      text,
      `give a value of at most ${MAX_CHARACTERS} characters, none of them a control character`,
    );
  }
  return [key, value];
}

function refused(text: string, next: string): AgentError {
  return new AgentError('OPTION_REFUSED', `reading --label '${text.slice(0, 300)}': ${next}`);
}
