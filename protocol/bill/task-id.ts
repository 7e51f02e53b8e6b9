import { utf8 } from '../bytes.ts';
import { digestOf } from './digest.ts';

const PREFIX = utf8('gap-junction/task/v1\n');

/**
 * SHA-256("gap-junction/task/v1\n" || payload), 32 bytes: the name of what was ordered. The payload is a
 * work order's exact bytes as they were signed; another term is another task.
 */
export function taskIdOf(workOrderPayload: Uint8Array): Uint8Array {
  return digestOf(PREFIX, workOrderPayload);
}
