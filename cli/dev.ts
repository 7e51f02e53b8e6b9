// `gap-junction dev`: a control plane and one agent here, kept until Ctrl-C.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { Command } from 'commander';

import { wholeNumber } from './arguments.ts';
import { CommandError } from './failure.ts';
import {
  enrolAgent,
  openClient,
  runAgent,
  startControlPlane,
  stopControlPlane,
  type ControlPlane,
} from './local-system.ts';
import { print, printJson, progress } from './output.ts';
import type { Program } from './processes.ts';

interface DevOptions {
  readonly dataDir: string;
  readonly port: number;
  readonly slots?: number;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function devCommand(): Command {
  return new Command('dev')
    .option('--data-dir <dir>', 'where everything is kept', '.gap-junction')
    .option('--port <n>', 'the control plane listens there; 0 picks a free one', wholeNumber, 7443)
    .option('--slots <n>', 'jobs that the agent runs at once', wholeNumber)
    .option('--verbose', "show the programs' logs")
    .option('--json', 'print one JSON line when ready')
    .action(dev);
}

async function dev(options: DevOptions): Promise<void> {
  const dataDir = resolve(options.dataDir);
  const onLog = (program: string, text: string) => {
    if (options.verbose) process.stderr.write(text.replaceAll(/^(?=.)/gm, `${program}: `));
  };
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => interrupt.abort(new CommandError(`stopped by ${signal}`)));
  }
  const start = { onLog, signal: interrupt.signal };
  progress('starting a control plane (embedded database, simulated Stripe) and one agent');
  const controlPlane = await startControlPlane({ dataDir, port: options.port, ...start });
  let agent: Program | undefined;
  try {
    const agentDir = join(dataDir, 'agent');
    if (!existsSync(join(agentDir, 'identity.json'))) {
      await enrolAgent(controlPlane, { dataDir: agentDir, accountName: 'Developer', ...start });
    }
    agent = await runAgent(controlPlane, { dataDir: agentDir, slots: options.slots, ...start });
    await tellReady(controlPlane, { dataDir, json: options.json ?? false });
    void tellEnd(agent, interrupt.signal);
    const servers = controlPlane.replicas.map(({ program }) => unexpectedEnd(program));
    await Promise.race([aborted(interrupt.signal), ...servers]);
  } finally {
    await agent?.stop();
    await stopControlPlane(controlPlane);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

async function unexpectedEnd(program: Program): Promise<never> {
  await program.ended();
  throw new CommandError(`running ${program.name}: it ended by itself\n${program.log}`);
}

/** An agent may end, as when its node was revoked; the control plane goes on, and can show why. */
async function tellEnd(agent: Program, stopping: AbortSignal): Promise<void> {
  await agent.ended();
  if (stopping.aborted) return;
  progress(`the agent ended by itself; the control plane goes on without a node\n${agent.log}`);
}

async function tellReady(
  controlPlane: ControlPlane,
  { dataDir, json }: { dataDir: string; json: boolean },
): Promise<void> {
  const { address, publicUrl, ca, caFingerprint, operator, stripe } = controlPlane;
  const { cert, key } = await openClient(controlPlane, {
    dataDir: join(dataDir, 'client'),
    name: 'Developer',
  });
  const context = join(dataDir, 'context.json');
  await writeFile(context, `${JSON.stringify({ address, ca, cert, key }, null, 2)}\n`);
  if (json) {
    printJson({
      event: 'ready',
      address,
      publicUrl,
      ca,
      caFingerprint,
      client: { cert, key },
      operator,
      dataDir,
      stripe,
    });
    return;
  }
  print(`ready at ${address}; stop it with Ctrl-C`);
  print('');
  print('In another terminal, as a client:');
  print(`  export GJ_CONTEXT='${context}'`);
  print('  npx gap-junction job submit FILE.wasm --input FILE --output FILE --bill bill.json');
  print('As the operator:');
  print(`  npx gap-junction admin nodes --cert '${operator.cert}' --key '${operator.key}'`);
}
