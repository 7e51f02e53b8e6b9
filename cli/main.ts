// The `gap-junction` command: a list of its subcommands.
import { Command, CommanderError } from 'commander';

import { describeFailure, EXIT } from './failure.ts';

interface Subcommand {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

// Each is loaded when it is called, so that `bill verify` does not pay for the control plane.
export const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: 'demo',
    summary: 'watch the whole of it work, explained as it goes',
    load: async () => (await import('./demo/demo.ts')).demoCommand(),
  },
  {
    name: 'dev',
    summary: 'a control plane and one agent here, on embedded parts',
    load: async () => (await import('./dev.ts')).devCommand(),
  },
  {
    name: 'server',
    summary: 'run a control plane',
    load: async () => (await import('./server.ts')).serverCommand(),
  },
  {
    name: 'agent',
    summary: 'enrol this machine as a node, and run it',
    load: async () => (await import('./agent.ts')).agentCommand(),
  },
  {
    name: 'run',
    summary: 'run a guest here and now, without a server',
    load: async () => (await import('./run.ts')).runCommand(),
  },
  {
    name: 'fuel',
    summary: 'count the fuel of a function',
    load: async () => (await import('./fuel-count.ts')).fuelCommand(),
  },
  {
    name: 'module',
    summary: 'inspect, push and list modules',
    load: async () => (await import('./module/module.ts')).moduleCommand(),
  },
  {
    name: 'job',
    summary: 'quote, submit, watch, get, list and cancel jobs',
    load: async () => (await import('./job/job.ts')).jobCommand(),
  },
  {
    name: 'bill',
    summary: 'show and verify a bill, offline',
    load: async () => (await import('./bill.ts')).billCommand(),
  },
  {
    name: 'balance',
    summary: 'show your prepaid balance',
    load: async () => (await import('./balance.ts')).balanceCommand(),
  },
  {
    name: 'admin',
    summary: 'steer a control plane',
    load: async () => (await import('./admin/admin.ts')).adminCommand(),
  },
];

const EXIT_CODES = `
Exit codes:
  ${EXIT.ok}  done; for a job: it succeeded
  ${EXIT.failed}  something failed; the message says what, and what to do next
  ${EXIT.usage}  the command line makes no sense
  ${EXIT.jobFailed}  the job or guest ended, and did not succeed
  ${EXIT.unverified}  a bill did not verify`;

/** Runs the command line `args` (without `node` and the script) and sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  // Who reads our output may stop reading, as `head` does: that ends us, and is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed);
  });
  try {
    const program = new Command('gap-junction')
      .description(
        "Run WebAssembly jobs on other people's machines, with bills that both sides can prove",
      )
      .addHelpText('after', EXIT_CODES);
    for (const { name, summary, load } of SUBCOMMANDS) {
      const called = args.find((arg) => !arg.startsWith('-')) === name;
      program.addCommand(
        called ? (await load()).description(summary) : new Command(name).description(summary),
      );
    }
    throwOnExit(program);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    const failure = describeFailure(error);
    process.stderr.write(`gap-junction: ${failure.message}\n`);
    process.exitCode = failure.exitCode;
  }
}

/** commander ends the process by itself otherwise, before streams are flushed. */
function throwOnExit(command: Command): void {
  command.exitOverride();
  command.commands.forEach(throwOnExit);
}
