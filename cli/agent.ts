// `gap-junction agent enrol|run|status`: an owner's machine as a node.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { Command, Option } from 'commander';

import { EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';

import { runAgent } from '../agent/agent.ts';
import { systemClock, systemRandom, systemRandomBytes } from '../agent/clock.ts';
import { parseAddress, parseAddresses, type Address } from '../agent/control-plane/address.ts';
import { connectTo } from '../agent/control-plane/connection.ts';
import { failureText } from '../agent/control-plane/rpc-failure.ts';
import { enrolFolder } from '../agent/enrolment/enrol-folder.ts';
import { AgentError } from '../agent/error.ts';
import type { AgentEvent, TellEvent } from '../agent/events.ts';
import { folderAt, isFolderLocked, openFolder } from '../agent/folder.ts';
import { openIdentity, type NodeIdentity } from '../agent/identity/identity.ts';
import { pinOfFile, pinOfFingerprint, type RootPin } from '../agent/identity/pinned-root.ts';
import { parseLabels } from '../agent/labels.ts';
import { findBill } from '../agent/jobs/bill-store.ts';
import { LOG_LEVELS, openLog, type LogLevel } from '../agent/log.ts';
import { defaultSlots, parseSlots } from '../agent/machine.ts';
import { readStatus } from '../agent/status.ts';
import { writeBillFile } from '../protocol/bill/bill-file.ts';
import { isId } from '../protocol/identity/ids.ts';
import { addressOption } from './connection.ts';
import { CommandError, EXIT } from './failure.ts';
import { centsText, print, printJson, progress } from './output.ts';

interface CommonOptions {
  readonly dataDir: string;
  readonly address?: string;
  readonly logLevel: LogLevel;
  readonly json?: boolean;
}

interface EnrolOptions extends CommonOptions {
  readonly ca?: string;
  readonly caFingerprint?: string;
  readonly replace?: boolean;
  readonly returnCode?: boolean;
}

interface RunOptions extends CommonOptions {
  readonly slots: string;
  readonly label: readonly string[];
  readonly graceSeconds: string;
}

/** A day: longer than any job may run. */
const MAX_GRACE_SECONDS = 86_400;
/** A code has 26 characters; what is longer was not copied from the page. */
const MAX_RETURN_CODE_CHARACTERS = 128;

export function agentCommand(): Command {
  const command = new Command('agent');
  withCommon(command.command('enrol'))
    .description('give this machine an identity that is bound to a Stripe account')
    .option('--ca <file>', "the control plane's root certificate, PEM; pins it")
    .option('--ca-fingerprint <sha256:hex>', 'SHA-256 of that certificate; pins it')
    .option('--replace', 'take over the node that the account already has')
    .option('--return-code', 'paste a code from the browser instead of a redirect to this machine')
    .action(tellingWhy(enrolHere));
  withCommon(command.command('run'))
    .description('take jobs, until Ctrl-C')
    .option('--slots <n>', 'jobs at a time', String(defaultSlots()))
    .option(
      '--label <key=value>',
      'what jobs may ask for, as gpu=none; give it again for more',
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option('--grace-seconds <n>', 'how long running jobs may finish after a stop', '30')
    .action(tellingWhy(runHere));
  withCommon(command.command('status'))
    .description('show the node, its last beat and its earnings')
    .action(tellingWhy(showStatus));
  withCommon(command.command('bill <job-id>'))
    .description("print the node's own copy of a job's bill, as 'bill verify' reads it")
    .action((jobId: string, options: CommonOptions) => printBill(jobId, options));
  return command;
}

function withCommon(command: Command): Command {
  return command
    .addOption(
      new Option('--data-dir <dir>', "where the node's identity and bills are kept")
        .env('GJ_AGENT_DATA_DIR')
        .default(join(homedir(), '.gap-junction', 'agent')),
    )
    .addOption(addressOption())
    .addOption(
      new Option('--log-level <level>', 'what is logged on stderr')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .option('--json', 'print events as JSON lines on stdout');
}

async function enrolHere(options: EnrolOptions): Promise<void> {
  const addresses = addressesOf(options);
  if (addresses === null) {
    throw new CommandError('enrolling: give --address host:port (or GJ_ADDRESS)', EXIT.usage);
  }
  const { signal } = interruptible();
  await enrolFolder({
    folder: openFolder(resolve(options.dataDir)),
    addresses,
    pin: pinOf(options),
    replace: options.replace ?? false,
    returnCode: options.returnCode ?? false,
    readReturnCode,
    tell: teller(options),
    clock: systemClock,
    random: systemRandom,
    log: openLog(options.logLevel),
    signal,
  });
}

async function runHere(options: RunOptions): Promise<void> {
  const graceSeconds = Number(options.graceSeconds);
  if (!(graceSeconds >= 0 && graceSeconds <= MAX_GRACE_SECONDS)) {
    throw new CommandError(
      `reading --grace-seconds '${options.graceSeconds}': give 0 to ${MAX_GRACE_SECONDS}`,
      EXIT.usage,
    );
  }
  const slots = parseSlots(options.slots);
  const labels = parseLabels(options.label);
  const { signal } = interruptible();
  await runAgent({
    folder: openFolder(resolve(options.dataDir)),
    addresses: addressesOf(options),
    slots,
    labels,
    graceMs: graceSeconds * 1_000,
    tell: teller(options),
    clock: systemClock,
    random: systemRandom,
    randomBytes: systemRandomBytes,
    log: openLog(options.logLevel),
    signal,
  });
}

function printBill(jobId: string, { dataDir }: CommonOptions): void {
  const { billFolder } = folderAt(resolve(dataDir));
  const bill = isId('j', jobId) && existsSync(billFolder) ? findBill(billFolder, jobId) : null;
  if (bill === null) {
    throw new CommandError(`finding the bill of '${jobId}': this node was not paid for such a job`);
  }
  process.stdout.write(writeBillFile(bill));
}

async function showStatus(options: CommonOptions): Promise<void> {
  const folder = folderAt(resolve(options.dataDir));
  const identity = openIdentity(folder);
  const running = isFolderLocked(folder);
  const last = readStatus(folder);
  const earnings = await earningsOf(identity, addressesOf(options));
  const lines = {
    nodeId: identity.nodeId,
    running,
    certificateExpiresAt: new Date(identity.certificate.notAfterMs).toISOString(),
    lastBeatAt: last === null ? null : new Date(last.lastBeatMs).toISOString(),
    address: running ? (last?.address ?? null) : null,
    slots: last?.slots ?? null,
    attemptIds: running ? (last?.attemptIds ?? []) : [],
    addresses: identity.record.addresses,
    ...earnings,
  };
  if (options.json) {
    printJson(lines);
    return;
  }
  print(`node          ${lines.nodeId}`);
  print(`agent         ${running ? 'running' : 'not running'}`);
  print(`certificate   until ${lines.certificateExpiresAt}`);
  print(`last beat     ${lines.lastBeatAt ?? 'none'}`);
  print(`linked to     ${lines.address ?? 'nobody'}`);
  print(`attempts      ${lines.attemptIds.join(' ') || 'none'}`);
  if ('pendingMicrocents' in earnings) {
    print(`settled jobs  ${earnings.settledJobs}`);
    print(`pending       ${centsText(BigInt(earnings.pendingMicrocents))}`);
  } else {
    print(`earnings      unknown: ${earnings.earningsUnknown}`);
  }
}

/** The node's earnings, or why they cannot be read now; the rest of the status needs no network. */
async function earningsOf(
  identity: NodeIdentity,
  addresses: readonly Address[] | null,
): Promise<
  | { readonly pendingMicrocents: string; readonly settledJobs: string }
  | { readonly earningsUnknown: string }
> {
  let earningsUnknown = 'no address';
  for (const address of addresses ?? identity.record.addresses.map(parseAddress)) {
    const connection = connectTo(address, {
      root: identity.root,
      certificate: { chain: identity.chain, privateKey: identity.key.privateKey },
    });
    try {
      const answer = await connection.client(EarningsService).getEarnings({});
      return {
        pendingMicrocents: String(answer.pendingMicrocents),
        settledJobs: String(answer.settledJobs),
      };
    } catch (error) {
      earningsUnknown = connection.distrust() ?? failureText(error);
    } finally {
      connection.close();
    }
  }
  return { earningsUnknown };
}

function pinOf({ ca, caFingerprint }: EnrolOptions): RootPin {
  if ((ca === undefined) === (caFingerprint === undefined)) {
    throw new CommandError(
      "enrolling: give either --ca-fingerprint or --ca, as the control plane's operator told you",
      EXIT.usage,
    );
  }
  return ca === undefined ? pinOfFingerprint(caFingerprint ?? '') : pinOfFile(ca);
}

function addressesOf({ address }: CommonOptions): Address[] | null {
  return address === undefined ? null : parseAddresses(address);
}

function teller({ json }: CommonOptions): TellEvent {
  return (event) => {
    if (json) printJson(event);
    else {
      const text = textOf(event);
      if (text !== null) progress(text);
    }
  };
}

/** What a person is told; the rest stands in the log. */
function textOf(event: AgentEvent): string | null {
  switch (event.event) {
    case 'connect_url':
      return `Open this in a browser, within 10 minutes, and connect your Stripe account:\n\n  ${event.url}\n\nThis machine's key: ${event.keyFingerprint}`;
    case 'return_code_wanted':
      return 'The page shows a code in the end. Paste it here, and press Enter:';
    case 'enrolled':
      return `Enrolled as ${event.nodeId}. Start it with 'gap-junction agent run'.`;
    case 'ready':
      return `Node ${event.nodeId} is ready for jobs, ${event.slots} at a time. Ctrl-C stops it.`;
    case 'linked':
    case 'renewed':
    case 'link_lost':
    case 'clock_off':
    case 'job_started':
    case 'job_ended':
    case 'job_settled':
    case 'stopped':
      return null;
    default:
      return event satisfies never;
  }
}

async function readReturnCode(signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, signal });
  try {
    for await (const line of lines) {
      const code = line.trim();
      if (code !== '' && code.length <= MAX_RETURN_CODE_CHARACTERS) return code;
    }
  } finally {
    lines.close();
    process.stdin.unref?.();
  }
  if (signal.aborted) throw signal.reason;
  throw new CommandError('enrolling: no code came on stdin', EXIT.usage);
}

/** Aborted by the first Ctrl-C or SIGTERM; the second ends the process at once, as usual. */
function interruptible(): AbortController {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      controller.abort(new CommandError(`stopped by ${signal}`));
    });
  }
  return controller;
}

/** An agent's expected failures end the command with their message. */
function tellingWhy<O>(action: (options: O) => Promise<void>): (options: O) => Promise<void> {
  return async (options) => {
    try {
      await action(options);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      const exitCode = error.reason === 'OPTION_REFUSED' ? EXIT.usage : EXIT.failed;
      throw new CommandError(`${error.message} (${error.reason})`, exitCode);
    }
  };
}
