// What the demo does, in order, and what it says as it goes.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';

import { openFolder } from '../../agent/folder.ts';
import { openIdentity } from '../../agent/identity/identity.ts';
import { buildGuests } from '../../examples/guests/build.ts';
import { certificatesPem } from '../admin/certificate-request.ts';
import { connect, openConnection, type Connection } from '../connection.ts';
import {
  enrolAgent,
  FIRST_CREDIT_MICROCENTS,
  openClient,
  runAgent,
  startControlPlane,
  stopControlPlane,
  type ControlPlane,
  type EnrolledAgent,
  type LocalOptions,
} from '../local-system.ts';
import { centsText } from '../output.ts';
import type { Program } from '../processes.ts';
import { runJob, type DemoJob, type DemoResult } from './jobs.ts';
import { drawPicture } from './picture.ts';
import { replayBeat, type ReplayedBeat } from './replayed-beat.ts';

/** A picture of this size and its sketch both fit the default limits of a job. */
const PICTURE = { width: 640, height: 400, seed: 7 } as const;
const ONE_MIB = 1024n * 1024n;

export interface StoryOptions {
  /** Keys, databases and logs, gone afterwards. */
  readonly workDir: string;
  /** What is left to look at. */
  readonly outputDir: string;
  readonly tell: (line: string) => void;
  readonly onLog: LocalOptions['onLog'];
}

export interface StoryEnd {
  readonly jobs: readonly DemoResult[];
  readonly replayedBeat: ReplayedBeat;
  /** All balances together, in microcents: 0, or money came from nowhere. */
  readonly ledgerSumMicrocents: bigint;
  readonly files: readonly string[];
}

export async function tellStory(options: StoryOptions): Promise<StoryEnd> {
  const { tell, workDir, outputDir, onLog } = options;
  await mkdir(outputDir, { recursive: true });

  tell('1. A control plane starts: its own authority, an embedded database, a simulated Stripe.');
  const controlPlane = await startControlPlane({
    dataDir: workDir,
    port: 0,
    ...(onLog && { onLog }),
  });
  let agent: Program | undefined;
  try {
    tell(`   It listens at ${controlPlane.address}; its root is ${controlPlane.caFingerprint}`);
    tell('');
    tell('2. A machine becomes a node. Its owner connects a Stripe account in a browser:');
    const node = await enrolAgent(controlPlane, {
      dataDir: join(workDir, 'agent'),
      accountName: 'Olivia Owner',
      onConnectUrl: (url) =>
        tell(`   ${url}\n   (the demo opens the page and presses Connect, as Olivia would)`),
      ...(onLog && { onLog }),
    });
    tell(
      `   The account is verified, so the machine has a certificate for a day, as ${node.nodeId}`,
    );
    agent = await runAgent(controlPlane, { dataDir: node.dataDir, ...(onLog && { onLog }) });
    tell('   Its heartbeats are accepted; it waits for work.');
    tell('');

    const client = await openClient(controlPlane, {
      dataDir: join(workDir, 'client'),
      name: 'Carl',
    });
    tell(
      `3. A client, ${client.clientId}, has prepaid ${centsText(FIRST_CREDIT_MICROCENTS)} and sends four jobs.`,
    );
    const connection = connect({ address: controlPlane.address, ca: controlPlane.ca, ...client });
    try {
      const { jobs, files } = await runJobs(connection, controlPlane, options);
      tell('');
      tell(
        '4. An attacker has stolen a certificate and recorded a heartbeat. It sends the beat again.',
      );
      const { replayedBeat, victim } = await attack(controlPlane, options);
      tell(
        `   On the same stream: refused, ${replayedBeat.sameStream}. On a new one: refused, ${replayedBeat.newStream}.`,
      );
      tell('');
      tell('5. The books.');
      const ledgerSumMicrocents = await sumBalances(connection, controlPlane, {
        nodes: [node, victim],
        jobs,
        tell,
      });
      return { jobs, replayedBeat, ledgerSumMicrocents, files };
    } finally {
      connection.close();
    }
  } finally {
    await agent?.stop();
    await stopControlPlane(controlPlane);
  }
}

async function runJobs(
  connection: Connection,
  { ca }: ControlPlane,
  { outputDir, tell }: StoryOptions,
): Promise<{ jobs: DemoResult[]; files: string[] }> {
  const guests = await buildGuests();
  const photograph = drawPicture(PICTURE);
  const jobs: readonly (DemoJob & { readonly intro: string })[] = [
    {
      name: 'sketch',
      intro: 'turns a photograph into a pencil sketch',
      module: guests.sketch,
      input: photograph,
      limits: {},
    },
    {
      name: 'infinite-loop',
      intro: 'never ends; it may use 200 million instructions',
      module: guests['infinite-loop'],
      input: new Uint8Array(),
      limits: { fuel: 200_000_000n },
    },
    {
      name: 'memory-hog',
      intro: 'takes all the memory that it can get; it may have 16 MiB',
      module: guests['memory-hog'],
      input: new Uint8Array(),
      limits: { memoryBytes: 16n * ONE_MIB },
    },
    {
      name: 'reach',
      intro: 'reaches for files, sockets and the environment of the machine it is on',
      module: guests.reach,
      input: new Uint8Array(),
      limits: {},
    },
  ];
  const files = [join(outputDir, 'photograph.bmp')];
  await writeFile(files[0]!, photograph);
  const results: DemoResult[] = [];
  for (const { intro, ...job } of jobs) {
    tell(`   ${job.name}: ${intro}`);
    const billFile = join(outputDir, `${job.name}.bill.json`);
    const result = await runJob(connection, job, { ca, billFile });
    results.push(result);
    files.push(billFile);
    const outputFile = outputFileOf(outputDir, result);
    if (outputFile !== null) {
      await writeFile(outputFile, result.output);
      files.push(outputFile);
    }
    tellResult(result, outputFile, tell);
  }
  const root = join(outputDir, 'root.pem');
  await writeFile(root, await readFile(ca));
  files.push(root);
  tell('   Anyone can check a bill, offline, with the root certificate alone:');
  tell(`     npx gap-junction bill verify ${results[0]!.billFile} --ca ${root} \\`);
  tell(`       --replay --module ${jobs[0]!.module} --input ${files[0]}`);
  return { jobs: results, files };
}

function outputFileOf(outputDir: string, { name, output }: DemoResult): string | null {
  if (output.length === 0) return null;
  return join(outputDir, name === 'sketch' ? 'sketch.bmp' : `${name}.txt`);
}

function tellResult(
  { end, job, output, name, verification, replay }: DemoResult,
  outputFile: string | null,
  tell: (line: string) => void,
): void {
  const detail = job.endDetail === '' ? '' : ` (${job.endDetail})`;
  tell(`     ${end}${detail}: ${job.fuel} fuel, ${centsText(job.chargeMicrocents)}`);
  if (outputFile !== null) tell(`     its output: ${outputFile}`);
  if (name === 'reach') {
    for (const line of Buffer.from(output).toString('utf8').trimEnd().split('\n'))
      tell(`       ${line}`);
  }
  const failed = [...verification.checks, ...replay.checks].filter(({ status }) => status !== 'ok');
  tell(
    failed.length === 0
      ? `     its bill verifies (${verification.checks.length} checks), and a replay here came to the same end`
      : `     ITS BILL DOES NOT HOLD: ${failed.map(({ name: check, reason }) => `${check}: ${reason}`).join('; ')}`,
  );
}

/** Enrols a second node, whose files the attacker then has. */
async function attack(
  controlPlane: ControlPlane,
  { workDir, onLog }: StoryOptions,
): Promise<{ replayedBeat: ReplayedBeat; victim: EnrolledAgent }> {
  const victim = await enrolAgent(controlPlane, {
    dataDir: join(workDir, 'victim'),
    accountName: 'Victor Victim',
    ...(onLog && { onLog }),
  });
  const connection = await connectAsNode(controlPlane, victim);
  try {
    const { heartbeat } = openIdentity(openFolder(victim.dataDir));
    return { replayedBeat: await replayBeat({ connection, keys: heartbeat }), victim };
  } finally {
    connection.close();
  }
}

async function connectAsNode(
  { address, ca }: ControlPlane,
  { dataDir }: EnrolledAgent,
): Promise<Connection> {
  const { chain, key } = openIdentity(openFolder(dataDir));
  return openConnection(address, {
    ca: await readFile(ca),
    cert: certificatesPem(chain),
    key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  });
}

/** Adds up what each party says that it has: the sum is 0 unless money was made or lost. */
async function sumBalances(
  connection: Connection,
  controlPlane: ControlPlane,
  {
    nodes,
    jobs,
    tell,
  }: {
    readonly nodes: readonly EnrolledAgent[];
    readonly jobs: readonly DemoResult[];
    readonly tell: (line: string) => void;
  },
): Promise<bigint> {
  const balance = await connection.client(BillingService).getBalance({});
  let pending = 0n;
  for (const node of nodes) {
    const asNode = await connectAsNode(controlPlane, node);
    const earnings = await asNode.client(EarningsService).getEarnings({});
    pending += earnings.pendingMicrocents;
    asNode.close();
  }
  const platform = jobs.reduce((sum, { verification: { settlement } }) => {
    if (settlement === null) return sum;
    return sum + settlement.chargeMicrocents - settlement.nodeShareMicrocents;
  }, 0n);
  const rows: readonly [string, bigint][] = [
    ['the operator paid in', -FIRST_CREDIT_MICROCENTS],
    ["the client's balance", balance.availableMicrocents],
    ['held for jobs', balance.heldMicrocents],
    ["the nodes' earnings", pending],
    ["the platform's share, from the bills", platform],
  ];
  const sum = rows.reduce((total, [, microcents]) => total + microcents, 0n);
  for (const [what, microcents] of [...rows, ['together', sum] as const]) {
    tell(`   ${what.padEnd(38)} ${centsText(microcents).padStart(22)}`);
  }
  return sum;
}
