import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { type ControlPlane, startControlPlane } from '../fakes/control-plane.ts';
import { enrolNode } from '../fakes/node.ts';
import { gapJunction } from './whole-system.ts';

describe('gap-junction admin node', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  let nodeId: string;
  let folder: string;
  let env: Record<string, string>;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
    ({ id: nodeId } = await enrolNode(controlPlane, 'Administered'));
    folder = mkdtempSync(join(tmpdir(), 'gj-admin-node-'));
    const file = (name: string, text: string | Buffer) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    env = {
      GJ_ADDRESS: controlPlane.server.address,
      GJ_CA: file('ca.crt', controlPlane.ca),
      GJ_CERT: file('operator.crt', controlPlane.operator.certificatePem),
      GJ_KEY: file('operator.key', controlPlane.operator.privateKeyPem),
    };
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await controlPlane.stop();
    await simulator.stop();
  });

  const admin = (...args: readonly string[]) => gapJunction(['admin', 'node', ...args], { env });

  it('cordons, drains and uncordons, and shows what the node then is', async () => {
    const cordoned = await admin('cordon', nodeId, '--reason', 'noisy');
    expect(cordoned, cordoned.stderr).to.have.property('exitCode', 0);
    expect(cordoned.stdout).to.match(/ is cordoned: /);
    expect((await admin(nodeId)).stdout).to.match(/^standing +CORDONED$/m);
    const drained = await admin('drain', nodeId, '--reason', 'leaving', '--wait', '--json');
    expect(JSON.parse(drained.stdout)).to.include({
      nodeId,
      standing: 'STANDING_DRAINING',
      leases: 0,
    });
    const back = await admin('uncordon', nodeId, '--reason', 'stays', '--json');
    expect(JSON.parse(back.stdout)).to.include({ nodeId, standing: 'STANDING_ENROLLED' });
  });

  it('says what is missing, or that there is no such node', async () => {
    const reasonless = await admin('drain', nodeId);
    expect(reasonless.exitCode).to.equal(2);
    expect(reasonless.stderr).to.contain('--reason');
    const nobody = await admin('cordon', 'n-nobody', '--reason', 'x');
    expect(nobody.exitCode).to.equal(1);
    expect(nobody.stderr).to.contain('n-nobody').and.contain('NOT_FOUND');
  });
});
