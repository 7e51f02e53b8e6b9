// What replicas tell each other of nodes at once: that the database has news of one.

import { fleetTopic, type Announcements } from '../jobs/announcements.ts';

export class NodeAnnouncements {
  readonly #announcements: Announcements;
  readonly #onNews: () => void;
  /** By node, what ends listening. */
  readonly #watched = new Map<string, () => void>();
  #news = new Set<string>();
  #isAnnouncing = false;

  /** `onNews` is called when there is something to take. */
  constructor(announcements: Announcements, onNews: () => void) {
    this.#announcements = announcements;
    this.#onNews = onNews;
  }

  /** From its first beat here on, another replica's change of the node is news here. */
  watch(nodeId: string): void {
    if (this.#watched.has(nodeId)) return;
    const unwatch = this.#announcements.subscribe(fleetTopic(nodeId), () => {
      if (this.#isAnnouncing) return;
      this.#news.add(nodeId);
      this.#onNews();
    });
    this.#watched.set(nodeId, unwatch);
  }

  /** After the commit. Tells the other replicas; this one knows already. */
  announce(nodeId: string): void {
    this.#isAnnouncing = true;
    try {
      this.#announcements.publish(fleetTopic(nodeId));
    } finally {
      this.#isAnnouncing = false;
    }
  }

  /** The nodes that there is news of; the next call answers what came since. */
  take(): readonly string[] {
    const news = [...this.#news];
    this.#news = new Set();
    return news;
  }

  close(): void {
    for (const unwatch of this.#watched.values()) unwatch();
  }
}
