// Wakes those who wait for something to change. A lost announcement only delays: every waiter also looks
// by itself now and then, and reads the database before it believes anything.

export interface Announcements {
  publish(topic: string): void;
  /** Calls the listener at each announcement until the returned function is called. */
  subscribe(topic: string, listener: () => void): () => void;
}

/** There is something to place: a job was queued. */
export const QUEUE_TOPIC = 'queue';

/** This job has a new revision. */
export function jobTopic(jobId: string): string {
  return `job:${jobId}`;
}

/** Something of this node's attempts changed that the node has to be told: a cancel. */
export function nodeTopic(nodeId: string): string {
  return `node:${nodeId}`;
}

/** Announcements within this process. */
export class LocalAnnouncements implements Announcements {
  readonly #listeners = new Map<string, Set<() => void>>();

  publish(topic: string): void {
    // A copy: a listener may unsubscribe itself, or another, while it is called.
    const listeners = [...(this.#listeners.get(topic) ?? [])];
    for (const listener of listeners) listener();
  }

  subscribe(topic: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) {
        this.#listeners.delete(topic);
      }
    };
  }
}
