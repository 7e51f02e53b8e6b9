// Which replica each agent is linked to, and how long agents are without one when a replica dies: pure
// bookkeeping over what happened when. Times in milliseconds, of one clock.

export interface Return {
  readonly agent: number;
  /** Since its replica died; since the first one was ready again where all were dead. */
  readonly ms: number;
  readonly afterAllDied: boolean;
}

interface Away {
  /** Null while no replica is there to return to. */
  sinceMs: number | null;
  readonly afterAllDied: boolean;
}

export class Links {
  /** Replica by agent. */
  readonly #linked = new Map<number, string>();
  readonly #away = new Map<number, Away>();
  readonly #ready = new Set<string>();
  readonly returns: Return[] = [];

  replicaReady(address: string, atMs: number): void {
    this.#ready.add(address);
    for (const away of this.#away.values()) away.sinceMs ??= atMs;
  }

  replicaDied(address: string, atMs: number): void {
    this.#ready.delete(address);
    const sinceMs = this.#ready.size > 0 ? atMs : null;
    // Those who were on their way to one that died as well start anew.
    if (sinceMs === null) {
      for (const agent of this.#away.keys()) this.#away.set(agent, { sinceMs, afterAllDied: true });
    }
    for (const [agent, replica] of this.#linked) {
      if (replica !== address) continue;
      this.#linked.delete(agent);
      this.#away.set(agent, { sinceMs, afterAllDied: sinceMs === null });
    }
  }

  /** It has nobody to return for. */
  agentDied(agent: number): void {
    this.#linked.delete(agent);
    this.#away.delete(agent);
  }

  /** A beat of the agent was accepted there. */
  agentLinked(agent: number, address: string, atMs: number): void {
    const away = this.#away.get(agent);
    this.#away.delete(agent);
    this.#linked.set(agent, address);
    if (away?.sinceMs === undefined || away.sinceMs === null) return;
    this.returns.push({ agent, ms: atMs - away.sinceMs, afterAllDied: away.afterAllDied });
  }

  /** Agents that are on their way. */
  get awayCount(): number {
    return this.#away.size;
  }
}
