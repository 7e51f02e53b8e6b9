// The simulator as a program: `node stripe-simulator/main.ts --port 12111 [--state-file FILE]`. Prints
// one line of JSON when it is ready and ends on SIGTERM or SIGINT.

import { parseArgs } from 'node:util';
import { startStripeSimulator } from './simulator.ts';

const { values } = parseArgs({
  options: { port: { type: 'string', default: '0' }, 'state-file': { type: 'string' } },
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  process.stderr.write(
    `Starting the Stripe simulator: --port '${values.port}' must be 0 to 65535\n`,
  );
  process.exit(2);
}
const simulator = await startStripeSimulator({ port, stateFile: values['state-file'] ?? null });
process.stdout.write(`${JSON.stringify({ event: 'ready', url: simulator.url })}\n`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void simulator.stop();
  });
}
