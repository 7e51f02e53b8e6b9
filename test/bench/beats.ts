// Server CPU per heartbeat: 50 nodes, a stream each, every beat sent when the one before was answered.
import type { DescService } from '@bufbuild/protobuf';
import { readFileSync } from 'node:fs';

import { openConnection, type Connection } from '../../cli/connection.ts';
import type { ControlPlane } from '../../cli/local-system.ts';
import { BeatStream, enrolNode } from '../fakes/node.ts';
import type { Identity } from '../fakes/control-plane.ts';
import { cpuMicroseconds, summaryOf, type Row } from './measure.ts';
import { withControlPlane, type Parts } from './parts.ts';

const STREAMS = 50;
const BEATS_PER_STREAM_AND_RUN = 100;

export async function beats(parts: Parts, runs: number): Promise<Row[]> {
  return withControlPlane(parts, async ({ controlPlane, pids: { server: pid = 0 } }) => {
    const remote = new RemoteControlPlane(controlPlane);
    const streams: BeatStream[] = [];
    for (let index = 0; index < STREAMS; index += 1) {
      const node = await enrolNode(remote, `Owner ${index}`);
      streams.push(await BeatStream.open(remote, node));
    }
    const values: number[] = [];
    for (let run = -1; run < runs; run += 1) {
      const before = cpuMicroseconds(pid);
      await Promise.all(streams.map(beatAll));
      const spent = cpuMicroseconds(pid) - before;
      // The first run warms up.
      if (run >= 0) values.push(spent / (STREAMS * BEATS_PER_STREAM_AND_RUN));
    }
    for (const stream of streams) stream.close();
    remote.close();
    const nonces = parts === 'PostgreSQL and Redis' ? 'Redis' : 'in process';
    return [
      {
        what: `heartbeat, server CPU, ${STREAMS} streams, nonces ${nonces}`,
        unit: 'us',
        summary: summaryOf(values),
      },
    ];
  });
}

async function beatAll(stream: BeatStream): Promise<void> {
  for (let beat = 0; beat < BEATS_PER_STREAM_AND_RUN; beat += 1) {
    const answer = await stream.exchange(stream.beat());
    if (answer.case !== 'answer') throw new Error(`beating: the answer was a ${answer.case}`);
  }
}

class RemoteControlPlane {
  readonly #address: string;
  readonly #ca: string;
  readonly #connections: Connection[] = [];

  constructor({ address, ca }: ControlPlane) {
    this.#address = address;
    this.#ca = readFileSync(ca, 'utf8');
  }

  clientFor<S extends DescService>(service: S, identity: Identity | null) {
    const connection = openConnection(this.#address, {
      ca: this.#ca,
      ...(identity && { cert: identity.certificatePem, key: identity.privateKeyPem }),
    });
    this.#connections.push(connection);
    return connection.client(service);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
