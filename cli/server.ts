// `gap-junction server`: runs the control plane until it is told to stop.
import { Command, Option } from 'commander';
import { pino, type Logger } from 'pino';
import { firstOperatorFiles } from '../server/clients/first-operator.ts';
import { systemClock } from '../server/clock.ts';
import { ConfigError, loadConfig, type ServerConfig } from '../server/config.ts';
import { type RunningServer, startServer } from '../server/server.ts';
import { describeSetting, type SettingName, settingNames, variableOf } from '../server/settings.ts';
import { CommandError, EXIT } from './failure.ts';

/** A command line is seen by every user of the machine, so these come by environment or file. */
const SECRET_SETTINGS: ReadonlySet<SettingName> = new Set([
  'stripeSecretKey',
  'databaseUrl',
  'redisUrl',
]);

export function serverCommand(): Command {
  const command = new Command('server').option('--config <file>', 'settings as a JSON file');
  for (const name of settingNames.filter((setting) => !SECRET_SETTINGS.has(setting))) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    command.addOption(new Option(`--${flag} <value>`, describeSetting(name)));
  }
  return command
    .option('--json', 'print one line of JSON when the server is ready')
    .addHelpText(
      'after',
      `\nBy environment or file alone: ${[...SECRET_SETTINGS].map(variableOf).join(', ')}`,
    )
    .action(async (options: Record<string, unknown>) => {
      const { config: file, json, ...flags } = options;
      await runServer(readConfig(flags, file as string | undefined), json === true);
    });
}

function readConfig(
  flags: Readonly<Record<string, unknown>>,
  file: string | undefined,
): ServerConfig {
  try {
    return loadConfig({ flags, environment: process.env, file });
  } catch (error) {
    throw error instanceof ConfigError ? new CommandError(error.message, EXIT.usage) : error;
  }
}

async function runServer(config: ServerConfig, json: boolean): Promise<void> {
  const log = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
  const stopping = stopSignal();
  const server = await startServer(config, { clock: systemClock, log });
  announce(server, config, log, json);
  const why = await Promise.race([
    stopping,
    server.failed.then((cause) => {
      log.fatal({ err: cause }, 'the server cannot go on');
      process.exitCode = 1;
      return 'failure';
    }),
  ]);
  log.info({ why }, 'stopping');
  await server.stop();
  log.info('stopped');
}

function announce(server: RunningServer, config: ServerConfig, log: Logger, json: boolean): void {
  const { address, publicUrl, metricsUrl, caPath: ca, caFingerprint } = server;
  const { dataDir, trustDomain } = config;
  log.info({ address, publicUrl, metricsUrl, ca, caFingerprint, trustDomain }, 'ready');
  if (!json) return;
  const stripe = config.stripe.kind;
  const ready = {
    event: 'ready',
    address,
    publicUrl,
    metricsUrl,
    ca,
    caFingerprint,
    operator: firstOperatorFiles(dataDir),
    dataDir,
    trustDomain,
    stripe,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

/** Resolves on the first SIGTERM or SIGINT; a second one ends the process at once, as is usual. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => resolve(signal));
  }
  return promise;
}
