// An agent that knows several addresses, of which some are dead.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

import { expect } from 'chai';

import { parseAddresses } from '../../agent/control-plane/address.ts';
import type { AgentFolder } from '../../agent/folder.ts';
import { readStatus } from '../../agent/status.ts';
import { whenAll } from '../all.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../fakes/agent-world.ts';

whenAll('an agent that knows several addresses', () => {
  let world: AgentWorld;
  let silent: Server;
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(async () => {
    world = await startAgentWorld();
    ({ folder, dispose } = temporaryFolder());
    await enrolIn(world, folder);
    // Takes connections and says nothing, as a replica that was paused does.
    silent = createServer((socket) => socket.on('error', () => socket.destroy()));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterEach(async () => {
    await stopAgents();
    silent.close();
    dispose();
    await world.stop();
  });

  it('leaves one that is silent and one that is closed behind, and works at the third', async () => {
    const { address } = world.controlPlane.server;
    const dead = `127.0.0.1:${(silent.address() as AddressInfo).port},127.0.0.1:1`;
    const agent = startAgent(folder, {
      addresses: parseAddresses(`${dead},${address}`),
      // The order that was given.
      random: () => 0,
    });
    const linked = await agent.record.next('linked');
    expect(linked.address).to.equal(address);
    expect(readStatus(folder)?.address).to.equal(address);
    await agent.stop();
  });
});
