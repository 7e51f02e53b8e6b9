// A program of its own: a share of the simulated agents. Tells `connected` when each has had a beat accepted,
// `window-N` at the Nth SIGUSR2 with what was counted since the one before, and ends at SIGTERM.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { systemClock } from '../../server/clock.ts';
import type { PreparedNode } from './prepared-fleet.ts';
import { SimulatedAgent } from './simulated-agent.ts';

const { values } = parseArgs({
  options: {
    fleet: { type: 'string' },
    from: { type: 'string' },
    count: { type: 'string' },
    address: { type: 'string' },
    ca: { type: 'string' },
    slots: { type: 'string' },
    /** Agents that connect in one second. */
    ramp: { type: 'string' },
  },
});

function required(name: keyof typeof values): string {
  const value = values[name];
  if (value === undefined) throw new Error(`starting a swarm: --${name} is missing`);
  return value;
}

const from = Number(required('from'));
const nodes = readFileSync(required('fleet'), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(from, from + Number(required('count')))
  .map((line) => JSON.parse(line) as PreparedNode);
const ca = readFileSync(required('ca'), 'utf8');
const rampPerSecond = Number(required('ramp'));

let tookMs: number[] = [];
let refused: string[] = [];
let windows = 0;

const agents = nodes.map(
  (node) =>
    new SimulatedAgent(node, {
      address: required('address'),
      ca,
      slots: Number(required('slots')),
      clock: systemClock,
      onBeat: (ms) => tookMs.push(ms),
      onRefused: (why) => refused.push(why),
    }),
);

function tell(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

process.on('SIGUSR2', () => {
  windows++;
  tell({ event: `window-${windows}`, tookMs, refused });
  tookMs = [];
  refused = [];
});
process.once('SIGTERM', () => {
  for (const agent of agents) agent.stop();
  process.exit(0);
});

// At most a second's worth connects at a time: handshakes are the costly part.
const waiting = [...agents];
async function connectOnes(): Promise<void> {
  for (let agent = waiting.shift(); agent !== undefined; agent = waiting.shift()) {
    const startedMs = systemClock.now();
    await agent.start();
    const restMs = LANES_SECOND_MS / rampPerSecond - (systemClock.now() - startedMs);
    if (restMs > 0) await new Promise<void>((resolve) => systemClock.after(restMs, resolve));
  }
}

const LANES = 16;
const LANES_SECOND_MS = LANES * 1_000;

await Promise.all(Array.from({ length: LANES }, connectOnes));
tell({ event: 'connected', agents: agents.length });
