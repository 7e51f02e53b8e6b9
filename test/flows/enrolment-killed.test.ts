// The server is killed between Stripe's answer and its own. When it is back, the same request, with the
// same key and state, must give the certificate: Stripe's code cannot be had again.
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import { whenAll } from '../all.ts';
import { makeCsr, makeOwnerKey } from '../fakes/owner.ts';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');

whenAll('a server killed in the middle of an enrolment', () => {
  let simulator: StripeSimulator;
  let dataDir: string;
  const servers: ChildProcess[] = [];
  beforeEach(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    dataDir = mkdtempSync(join(tmpdir(), 'gj-killed-'));
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) server.kill('SIGKILL');
    await simulator.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function startServer() {
    const server = spawn(
      process.execPath,
      [
        COMMAND,
        'server',
        '--port=0',
        `--data-dir=${dataDir}`,
        '--stripe=simulator',
        `--stripe-simulator-url=${simulator.url}`,
        '--json',
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    servers.push(server);
    const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
    const { address, ca } = JSON.parse(line) as { address: string; ca: string };
    const transport = createGrpcTransport({
      baseUrl: `https://${address}`,
      nodeOptions: { ca: readFileSync(ca) },
    });
    return {
      enrolment: createClient(EnrolmentService, transport),
      async stop(signal: NodeJS.Signals) {
        const exit = once(server, 'exit');
        server.kill(signal);
        await exit;
      },
    };
  }

  const fault = (body: Readonly<Record<string, unknown>>) =>
    fetch(`${simulator.url}/simulator/faults`, { method: 'POST', body: JSON.stringify(body) });

  it('gives the certificate to the same request afterwards, without Stripe giving its code twice', async () => {
    const first = await startServer();
    const key = await makeOwnerKey();
    const { connectUrl, state } = await first.enrolment.startEnrolment({
      publicKeySha256: key.digest,
      loopbackPort: 40_000,
    });
    const back = await connectAccount(connectUrl, { accountName: 'Killed' });
    const request = {
      csr: await makeCsr(key),
      state,
      proof: { case: 'stripeCode', value: back.searchParams.get('code') ?? '' },
    } as const;
    // The account's look-up, which follows the stored exchange, hangs: there the server is killed.
    await fault({ kind: 'slow', path: '/v1/accounts', delayMs: 60_000, times: 1 });
    const asked = fetch(`${simulator.url}/simulator/faults`);
    const lost = first.enrolment.enrol(request).catch((cause: unknown) => cause);
    await asked;
    await first.stop('SIGKILL');
    expect(await lost).to.be.instanceOf(Error);

    const second = await startServer();
    // From here on Stripe answers every exchange as if it had forgotten that it ever answered one.
    await fault({ kind: 'down', path: '/oauth/token', times: 1_000 });
    const { identity } = await second.enrolment.enrol(request);
    expect(identity?.nodeId).to.match(/^n-/);
    await second.stop('SIGTERM');
  });
});
