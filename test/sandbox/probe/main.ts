// Stands in for the control thread of a sandbox: starts the attempts on a worker as it does, and prints
// their outcomes.
import { Worker } from 'node:worker_threads';

new Worker(new URL('./attempts.ts', import.meta.url), { env: {} }).once('message', (outcomes) => {
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
});
