// The processes of a benchmark's system by role, with all that each of them started: CPU time and memory.
import { readdirSync, readFileSync } from 'node:fs';

import { cpuMicroseconds, endedChildrenMicroseconds, residentBytes } from './measure.ts';

export type Role = 'server' | 'PostgreSQL' | 'agent' | 'sandboxes' | 'client';

export type Pids = Readonly<Partial<Record<Role, number>>>;

/** CPU time so far of each role, those of its processes that have ended with it, in microseconds. */
export function cpuByRole(pids: Pids): Map<Role, number> {
  const roles = new Map<Role, number>();
  for (const [role, members] of membersOf(pids)) {
    const parents = role === 'sandboxes' ? [...members, pids.agent ?? 0] : members;
    const ended = role === 'agent' || role === 'client' ? [] : parents;
    roles.set(role, sum(members.map(cpuMicroseconds)) + sum(ended.map(endedChildrenMicroseconds)));
  }
  return roles;
}

/** Resident memory of each role, in bytes; pages that processes share are counted for each. */
export function memoryByRole(pids: Pids): Map<Role, number> {
  const roles = new Map<Role, number>();
  for (const [role, members] of membersOf(pids)) roles.set(role, sum(members.map(residentBytes)));
  return roles;
}

/** The agent's children are sandboxes; the children of others belong to them. */
function membersOf(pids: Pids): Map<Role, readonly number[]> {
  const children = childrenByParent();
  const family = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(family)];
  const members = new Map<Role, readonly number[]>();
  for (const [role, pid] of Object.entries(pids) as [Role, number][]) {
    if (role === 'agent') {
      members.set('agent', [pid]);
      members.set('sandboxes', family(pid).slice(1));
    } else if (role === 'client') {
      members.set('client', [pid]);
    } else {
      members.set(role, family(pid));
    }
  }
  return members;
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const parent = parentOf(pid);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  return children;
}

/** Null where the process is gone. */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
