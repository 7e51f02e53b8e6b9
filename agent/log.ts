// The agent's log: JSON lines on stderr. What may hold a secret is named here and never written.
import { destination, pino, type Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SECRET_FIELDS = ['*.privateKey', '*.heartbeat', '*.code', '*.state', '*.input', '*.output'];

export function openLog(level: LogLevel): Logger {
  return pino(
    { level, name: 'agent', base: { pid: process.pid }, redact: SECRET_FIELDS },
    destination({ dest: 2, sync: true }),
  );
}
