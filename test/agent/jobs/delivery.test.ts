import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { pino } from 'pino';

import { EnvelopeSchema, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { CompleteResponseSchema } from '#gen/gapjunction/node/v1/dispatch_pb';

import { systemClock } from '../../../agent/clock.ts';
import { Delivery, type DeliveryParts } from '../../../agent/jobs/delivery.ts';

describe('a receipt whose fate cannot be written down', () => {
  it('does not end the agent, which runs other jobs: it says so, and keeps the receipt', async () => {
    const lines: Record<string, unknown>[] = [];
    const client = { complete: async () => create(CompleteResponseSchema) };
    const erased: string[] = [];
    const delivery = new Delivery({
      link: { connection: async () => ({ client: () => client }) },
      journal: {
        erase(attemptId: string) {
          erased.push(attemptId);
          throw new Error('ENOSPC: no space left on device');
        },
      },
      clock: systemClock,
      random: () => 0,
      tell: () => {},
      log: pino(
        {},
        { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
      ),
      signal: new AbortController().signal,
    } as unknown as DeliveryParts);

    await delivery.deliver({
      taskId: new Uint8Array(32),
      attemptId: 'a-1',
      jobId: 'j-1',
      requestId: 'r-1',
      end: JobEnd.NODE_FAULT,
      endDetail: '',
      output: new Uint8Array(),
      bill: { receipt: create(EnvelopeSchema), receiptChain: [], workOrderChain: [] },
    });

    expect(erased).to.deep.equal(['a-1']);
    const failure = lines.find(({ level }) => level === 50);
    expect(failure).to.include({ attemptId: 'a-1', jobId: 'j-1', requestId: 'r-1' });
    expect(failure?.['err']).to.include({ message: 'ENOSPC: no space left on device' });
  });
});
