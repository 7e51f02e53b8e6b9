// Announcements between the replicas of a simulation, as over Redis: at most once, late, or lost, and
// silent while the link to the bus is down. After that every listener is called, since it may have missed
// something.
import { LocalAnnouncements, type Announcements } from '../../server/jobs/announcements.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';

const BUS = 'bus';

export class Bus {
  /** How many announcements never arrive. */
  lostShare = 0;
  readonly complaints: string[] = [];
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #members = new Map<Process, LocalAnnouncements>();

  constructor({ network, random }: { network: Network; random: SeededRandom }) {
    this.#network = network;
    this.#random = random;
  }

  /** The announcements as this process sees them, until it ends. */
  join(process: Process): Announcements {
    const local = new LocalAnnouncements();
    this.#members.set(process, local);
    process.onEnd(() => this.#members.delete(process));
    return {
      publish: (topic) => {
        if (!process.isAlive) return;
        if (process.isInTransaction)
          this.complaints.push(`'${topic}' was announced before its commit`);
        local.publish(topic);
        for (const [member, announcements] of this.#members) {
          if (member !== process) this.#carry(process, member, () => announcements.publish(topic));
        }
      },
      subscribe: (topic, listener) => local.subscribe(topic, listener),
    };
  }

  /** The process hears nothing for so long. */
  cutOff(process: Process, forMs: number): void {
    this.#network.cutLink(process.name, BUS, forMs);
    const { timeline } = process;
    timeline.after(forMs + 1, () => process.enter(() => this.#members.get(process)?.publishAll()));
  }

  #carry(from: Process, to: Process, deliver: () => void): void {
    const network = this.#network;
    if (network.downForMs(from.name, BUS) > 0 || network.downForMs(to.name, BUS) > 0) return;
    if (this.#random.chance(this.lostShare)) return;
    const delayMs = network.delayMs(from.name, BUS) + network.delayMs(BUS, to.name);
    from.timeline.after(delayMs, () => to.enter(deliver));
  }
}
