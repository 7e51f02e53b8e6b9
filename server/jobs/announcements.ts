// Wakes those who wait for something to change. A lost announcement only delays: every waiter also looks
// by itself now and then, and reads the database before it believes anything. Two forms: within this
// process for a single replica, and over Redis for several; one contract test holds for both.

export interface Announcements {
  /** After the commit of what it tells of. `topic`: one line of at most 128 characters. */
  publish(topic: string): void;
  /**
   * Calls the listener at each announcement, and whenever one may have been missed, until the returned
   * function is called. It must not throw, and not be slow.
   */
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

/** What the database says of this node changed: its standing, or its newest heartbeat stream. */
export function fleetTopic(nodeId: string): string {
  return `fleet:${nodeId}`;
}

/** This node opened a newer Work stream. */
export function workTopic(nodeId: string): string {
  return `work:${nodeId}`;
}

/** Certificates were revoked. */
export const REVOCATIONS_TOPIC = 'revocations';

/** Announcements within this process. */
export class LocalAnnouncements implements Announcements {
  readonly #listeners = new Map<string, Set<() => void>>();

  publish(topic: string): void {
    // A copy: a listener may unsubscribe itself, or another, while it is called.
    const listeners = [...(this.#listeners.get(topic) ?? [])];
    for (const listener of listeners) listener();
  }

  /** Calls every listener: some announcement may have been missed. */
  publishAll(): void {
    // A copy: a listener may subscribe to another topic while it is called.
    const topics = this.#listeners.keys().toArray();
    for (const topic of topics) this.publish(topic);
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
