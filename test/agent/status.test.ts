import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'chai';
import { pino } from 'pino';

import type { AgentFolder } from '../../agent/folder.ts';
import { readStatus, StatusFile, type AgentStatus } from '../../agent/status.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import { enrolIn, startAgent, startAgentWorld, stopAgents } from '../fakes/agent-world.ts';
import { ClientOfJobs, NOTHING } from '../fakes/job-client.ts';

/** No file takes the place of a folder with something in it, whoever runs this. */
function obstruct({ statusFile }: AgentFolder): void {
  mkdirSync(join(statusFile, 'in-the-way'), { recursive: true });
}

describe('the status of an agent', () => {
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(() => {
    ({ folder, dispose } = temporaryFolder());
  });
  afterEach(() => dispose());

  it('that cannot be written is said once, as is the end of it', () => {
    const said: string[] = [];
    const log = pino({ base: null }, { write: (line) => void said.push(JSON.parse(line).msg) });
    const file = new StatusFile(folder, log);
    const status: AgentStatus = {
      nodeId: 'n-1',
      pid: 1,
      address: 'localhost:1',
      slots: 1,
      lastBeatMs: 1,
      certificateExpiresAtMs: 2,
      attemptIds: [],
      fuelSinceStart: '0',
    };
    obstruct(folder);
    for (let beat = 1; beat <= 3; beat++) file.write(status);
    expect(said).to.have.length(1);
    expect(said[0]).to.match(/^writing the status failed/);
    rmSync(join(folder.statusFile, 'in-the-way'), { recursive: true });
    rmdirSync(folder.statusFile);
    for (let beat = 1; beat <= 3; beat++) file.write(status);
    expect(said.slice(1)).to.deep.equal(['the status can be written again']);
    expect(readStatus(folder)).to.deep.equal(status);
  });

  it('that cannot be written keeps no node from its work, nor its owner from his pay', async () => {
    const world = await startAgentWorld();
    try {
      const client = await ClientOfJobs.open(world.controlPlane);
      await enrolIn(world, folder);
      obstruct(folder);
      const { record } = startAgent(folder);
      await record.next('ready');
      expect(endName((await client.run(NOTHING)).end)).to.equal('SUCCEEDED');
      await record.next('job_settled');
      expect(record.events.map(({ event }) => event)).not.to.include('link_lost');
    } finally {
      await stopAgents();
      await world.stop();
    }
  });
});
