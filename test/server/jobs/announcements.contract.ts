// What announcements must keep, whatever carries them. `open` answers two ends that hear each other; they
// may be one.
import { EventEmitter, once } from 'node:events';
import { expect } from 'chai';
import type { Announcements } from '../../../server/jobs/announcements.ts';

export interface Ends {
  readonly here: Announcements;
  readonly there: Announcements;
}

/** Calls counted, and waited for. */
export class Listener {
  readonly #calls = new EventEmitter();
  count = 0;
  readonly call = (): void => {
    this.count++;
    this.#calls.emit('call');
  };

  async called(times: number): Promise<void> {
    while (this.count < times) await once(this.#calls, 'call');
  }
}

export function announcementsContract(ends: () => Ends): void {
  it('wake whoever waits for that topic, and nobody else', async () => {
    const { here, there } = ends();
    const [job, other] = [new Listener(), new Listener()];
    const stops = [there.subscribe('job:1', job.call), there.subscribe('job:2', other.call)];
    here.publish('job:1');
    await job.called(1);
    // What came before it on the same way has been told by now.
    here.publish('job:2');
    await other.called(1);
    expect(job.count).to.equal(1);
    for (const stop of stops) stop();
  });

  it('wake listeners of the replica that publishes at once', () => {
    const { here } = ends();
    const listener = new Listener();
    const stop = here.subscribe('queue', listener.call);
    here.publish('queue');
    expect(listener.count).to.equal(1);
    stop();
  });

  it('wake every listener of a topic, and none that has stopped', async () => {
    const { here, there } = ends();
    const [stopped, staying] = [new Listener(), new Listener()];
    const stop = there.subscribe('queue', stopped.call);
    const stopStaying = there.subscribe('queue', staying.call);
    stop();
    here.publish('queue');
    await staying.called(1);
    expect(stopped.count).to.equal(0);
    stopStaying();
  });

  it('let a listener stop others, and itself, while it is called', async () => {
    const { here, there } = ends();
    const done = new Listener();
    const stops = [
      there.subscribe('queue', () => {
        for (const stop of stops.splice(0)) stop();
        done.call();
      }),
      there.subscribe('queue', () => undefined),
    ];
    here.publish('queue');
    await done.called(1);
    const again = new Listener();
    const stop = there.subscribe('queue', again.call);
    here.publish('queue');
    await again.called(1);
    expect(done.count).to.equal(1);
    stop();
  });
}
