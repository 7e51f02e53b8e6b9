// Wake-ups between replicas in one process: as over Redis, the publisher's own listeners are called at
// once and those of the others a moment later, if at all.
import { LocalAnnouncements, type Announcements } from '../../server/jobs/announcements.ts';

export class AnnouncementBus {
  readonly #replicas = new Set<LocalAnnouncements>();
  /** What is published meanwhile reaches no other replica, ever. */
  isCut = false;

  /** One replica's end. */
  connect(): Announcements {
    const own = new LocalAnnouncements();
    this.#replicas.add(own);
    return {
      publish: (topic) => {
        own.publish(topic);
        if (this.isCut) return;
        for (const replica of this.#replicas) {
          if (replica !== own) queueMicrotask(() => replica.publish(topic));
        }
      },
      subscribe: (topic, listener) => own.subscribe(topic, listener),
    };
  }
}
