// What this replica knows of each node. Rows of the database come in any order; a row's revision tells
// whether it is news.

import type { Beat } from './beat.ts';
import type { FleetRow } from './liveness-store.ts';
import { isSameStream, type NewestStream } from './newest-stream.ts';
import type { Standing } from './standing.ts';

export interface Member {
  readonly standing: Standing;
  readonly isLive: boolean;
  readonly newest: NewestStream | null;
  /** The last beat that this replica accepted. */
  readonly lastBeat: Beat | null;
}

interface StoredMember {
  standing: Standing;
  isLive: boolean;
  newest: NewestStream | null;
  lastBeat: Beat | null;
  /** Of the database's row that this was read from; -1 before the first. */
  revision: number;
}

/** How many nodes there are of a kind. */
export interface NodeCount {
  readonly standing: Standing;
  readonly liveness: 'live' | 'lost';
  readonly nodes: number;
}

export class Members {
  readonly #members = new Map<string, StoredMember>();
  #liveCount = 0;

  get liveCount(): number {
    return this.#liveCount;
  }

  get(nodeId: string): Member | undefined {
    return this.#members.get(nodeId);
  }

  ids(): readonly string[] {
    return [...this.#members.keys()];
  }

  counts(): readonly NodeCount[] {
    const counts = new Map<string, { -readonly [K in keyof NodeCount]: NodeCount[K] }>();
    for (const { standing, isLive } of this.#members.values()) {
      const liveness = isLive ? 'live' : 'lost';
      const name = `${standing} ${liveness}`;
      const count = counts.get(name) ?? { standing, liveness, nodes: 0 };
      count.nodes++;
      counts.set(name, count);
    }
    return [...counts.values()];
  }

  /** False for an unknown node. */
  heard(nodeId: string, beat: Beat): boolean {
    const member = this.#members.get(nodeId);
    if (member === undefined) return false;
    this.#setLive(member, true);
    member.lastBeat = beat;
    return true;
  }

  setStanding(nodeId: string, standing: Standing): void {
    this.#member(nodeId, standing).standing = standing;
  }

  /** `isHeard`: a beat that is not written yet is newer than any row. */
  apply(row: FleetRow, { isHeard }: { readonly isHeard: boolean }): void {
    const member = this.#member(row.nodeId, row.standing);
    if (row.revision <= member.revision) return;
    member.revision = row.revision;
    member.standing = row.standing;
    if (!isSameStream(member.newest, row.newest)) member.newest = row.newest;
    if (!isHeard) this.#setLive(member, row.isLive);
  }

  #member(nodeId: string, standing: Standing): StoredMember {
    const known = this.#members.get(nodeId);
    if (known !== undefined) return known;
    const member: StoredMember = {
      standing,
      isLive: false,
      newest: null,
      lastBeat: null,
      revision: -1,
    };
    this.#members.set(nodeId, member);
    return member;
  }

  #setLive(member: StoredMember, isLive: boolean): void {
    if (member.isLive === isLive) return;
    member.isLive = isLive;
    this.#liveCount += isLive ? 1 : -1;
  }
}
