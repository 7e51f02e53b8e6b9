// `gap-junction bill`: shows a bill, and verifies it without a network, against the root certificate alone.
import { X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';

import { toJson, type JsonValue } from '@bufbuild/protobuf';
import { Command } from 'commander';

import {
  EntrySchema,
  GrantSchema,
  ReceiptSchema,
  SettlementSchema,
  WorkOrderSchema,
  type Bill,
  type Envelope,
} from '#gen/gapjunction/job/v1/bill_pb';

import { GJ_0_DIGEST_HEX, GJ_0_PROFILE } from '../metering/metering.ts';
import { MAX_BILL_FILE_BYTES, readBillFile } from '../protocol/bill/bill-file.ts';
import { endName } from '../protocol/bill/ends.ts';
import { decodeReceipt, type CheckedReceipt } from '../protocol/bill/receipt.ts';
import type { Replay } from '../protocol/bill/replay.ts';
import type { Check } from '../protocol/bill/report.ts';
import { decodeSettlement, type CheckedSettlement } from '../protocol/bill/settlement.ts';
import { taskIdOf } from '../protocol/bill/task-id.ts';
import { verifyBill, type BillReport } from '../protocol/bill/verify.ts';
import { decodeWorkOrder, type CheckedWorkOrder } from '../protocol/bill/work-order.ts';
import { MAX_INPUT_BYTES, MAX_MODULE_BYTES } from '../sandbox/sandbox.ts';
import { CommandError, EXIT } from './failure.ts';
import { centsText, digestText, enumText, print, printJson } from './output.ts';
import { sandboxReplay } from './replay.ts';

/** One certificate in PEM has some 1 KiB. */
const MAX_CA_FILE_BYTES = 65_536;

interface VerifyFlags {
  readonly ca: string;
  readonly trustDomain?: string;
  readonly replay?: boolean;
  readonly module?: string;
  readonly input?: string;
  readonly json?: boolean;
}

/** `gap-junction bill` with its subcommands `show` and `verify`. */
export function billCommand(): Command {
  const show = new Command('show')
    .description('what a bill says, unchecked')
    .argument('<file>', 'a bill file')
    .option('--json', 'print it as JSON')
    .action(showBill);
  const verify = new Command('verify')
    .description('check everything about a bill that can be checked offline')
    .argument('<file>', 'a bill file')
    .requiredOption('--ca <file>', 'the root certificate, PEM: all that is trusted')
    .option('--trust-domain <name>', 'where every signer must belong')
    .option('--replay', 'run the job again, and compare')
    .option('--module <file>', 'the module, for --replay')
    .option('--input <file>', 'the input, for --replay; without it, an empty one')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', `\nExits with ${EXIT.unverified} unless every check passed.`)
    .action(verifyBillFile);
  return new Command('bill')
    .description('show and verify bills')
    .addCommand(show)
    .addCommand(verify);
}

async function showBill(file: string, { json }: { readonly json?: boolean }): Promise<void> {
  const bill = readBillFile(await readBounded(file, MAX_BILL_FILE_BYTES));
  const documents = {
    order: decodeWorkOrder(payloadOf(bill.workOrder, 'work order')),
    receipt: decodeReceipt(payloadOf(bill.receipt, 'receipt')),
    settlement: decodeSettlement(payloadOf(bill.settlement, 'settlement')),
  };
  if (json === true) {
    printJson(documentsJson(documents));
    return;
  }
  printDocuments(documents);
  print(`task      ${digestText(taskIdOf(payloadOf(bill.workOrder, 'work order')))}`);
  printSigners(bill);
  print('unchecked: `gap-junction bill verify` says whether it holds');
}

async function verifyBillFile(file: string, flags: VerifyFlags): Promise<void> {
  if (flags.replay === true && flags.module === undefined) {
    throw new CommandError('replaying a bill needs its module: give --module FILE', EXIT.usage);
  }
  if (flags.replay !== true && (flags.module ?? flags.input) !== undefined) {
    throw new CommandError('--module and --input are for --replay: give that too', EXIT.usage);
  }
  const bill = readBillFile(await readBounded(file, MAX_BILL_FILE_BYTES));
  const report = await verifyBill(bill, {
    rootCertificate: await readRoot(flags.ca),
    profileDigests: new Map([[GJ_0_PROFILE, Buffer.from(GJ_0_DIGEST_HEX, 'hex')]]),
    ...(flags.trustDomain === undefined ? {} : { trustDomain: flags.trustDomain }),
    ...(flags.module === undefined ? {} : { replay: await replayOf(flags.module, flags.input) }),
  });
  if (flags.json === true) {
    printJson({ verified: report.ok, checks: report.checks, ...documentsJson(report) });
  } else {
    printReport(report);
  }
  if (!report.ok) process.exitCode = EXIT.unverified;
}

async function replayOf(module: string, input: string | undefined): Promise<Replay> {
  return sandboxReplay({
    module: await readBounded(module, MAX_MODULE_BYTES),
    input: input === undefined ? new Uint8Array() : await readBounded(input, MAX_INPUT_BYTES),
  });
}

function printReport(report: BillReport): void {
  printDocuments(report);
  for (const check of report.checks) print(checkText(check));
  const bad = report.checks.filter(({ status }) => status !== 'ok').length;
  print(
    report.ok
      ? `verified: all ${report.checks.length} checks hold`
      : `NOT verified: ${bad} of ${report.checks.length} checks do not hold`,
  );
}

function checkText({ name, status, reason }: Check): string {
  return `${status.padEnd(15)} ${name}${reason === '' ? '' : `: ${reason}`}`;
}

interface Documents {
  readonly order: CheckedWorkOrder | null;
  readonly receipt: CheckedReceipt | null;
  readonly settlement: CheckedSettlement | null;
}

function documentsJson({ order, receipt, settlement }: Documents): Record<string, JsonValue> {
  const options = { alwaysEmitImplicit: true };
  return {
    workOrder: order === null ? null : toJson(WorkOrderSchema, order, options),
    receipt: receipt === null ? null : toJson(ReceiptSchema, receipt, options),
    settlement: settlement === null ? null : toJson(SettlementSchema, settlement, options),
  };
}

function printDocuments({ order, receipt, settlement }: Documents): void {
  if (order !== null) {
    const grants = order.grants.map((grant) => enumText(GrantSchema, grant)).join(' ');
    print(`job       ${order.jobId}, attempt ${order.attemptId} on ${order.nodeId}`);
    print(`module    ${digestText(order.module.digest)}  ${order.module.sizeBytes} bytes`);
    print(`input     ${digestText(order.input.digest)}  ${order.input.sizeBytes} bytes`);
    print(`entry     ${enumText(EntrySchema, order.entry)} ${grants}`.trimEnd());
    print(`profile   ${order.profile}`);
  }
  if (receipt !== null) {
    print(`end       ${endName(receipt.end)} ${receipt.endDetail}`.trimEnd());
    print(`fuel      ${receipt.fuel}`);
    print(`output    ${digestText(receipt.output.digest)}  ${receipt.output.sizeBytes} bytes`);
    print(`engine    ${receipt.engine} ${receipt.engineVersion}`);
  }
  if (settlement !== null) {
    const { chargeMicrocents, nodeShareMicrocents, settledMs } = settlement;
    print(
      `charge    ${centsText(chargeMicrocents)}, of which ${centsText(nodeShareMicrocents)} to the node`,
    );
    print(`settled   ${settledText(settledMs)}`);
  }
}

function printSigners(bill: Bill): void {
  const envelopes = { order: bill.workOrder, receipt: bill.receipt, settlement: bill.settlement };
  for (const [name, envelope] of Object.entries(envelopes)) {
    print(`key of the ${name}: ${digestText(envelope?.keyId ?? new Uint8Array())}`);
  }
}

/** A time that no calendar of ours reaches is printed as the number it is. */
function settledText(settledMs: bigint): string {
  const date = new Date(Number(settledMs));
  return Number.isNaN(date.getTime()) ? `${settledMs} ms` : date.toISOString();
}

function payloadOf(envelope: Envelope | undefined, what: string): Uint8Array {
  if (envelope === undefined) throw new CommandError(`showing the bill: it has no ${what}`);
  return envelope.payload;
}

async function readRoot(path: string): Promise<X509Certificate> {
  const pem = Buffer.from(await readBounded(path, MAX_CA_FILE_BYTES)).toString('latin1');
  if (pem.split('-----BEGIN CERTIFICATE-----').length !== 2) {
    throw new CommandError(
      `reading the root certificate: '${path}' must hold exactly one certificate in PEM`,
    );
  }
  try {
    return new X509Certificate(pem);
  } catch {
    throw new CommandError(`reading the root certificate: '${path}' holds none that can be parsed`);
  }
}

async function readBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path).catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    throw new CommandError(`reading '${path}': ${code}`);
  });
  try {
    const { size } = await file.stat();
    if (size > maxBytes) {
      throw new CommandError(`reading '${path}': ${size} bytes are more than ${maxBytes}`);
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
