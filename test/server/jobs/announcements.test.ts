import { expect } from 'chai';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import { announcementsContract, Listener } from './announcements.contract.ts';

describe('announcements within this process', () => {
  const announcements = new LocalAnnouncements();
  announcementsContract(() => ({ here: announcements, there: announcements }));

  it('are all made when some may have been missed', () => {
    const [job, queue] = [new Listener(), new Listener()];
    const stops = [
      announcements.subscribe('job:1', job.call),
      announcements.subscribe('queue', queue.call),
    ];
    announcements.publishAll();
    expect([job.count, queue.count]).to.deep.equal([1, 1]);
    for (const stop of stops) stop();
  });
});
