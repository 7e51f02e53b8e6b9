// poll_oneoff: sleeping, and waiting for a stream that is always ready. Nothing here waits: a sleep
// advances the guest's clock at once.
import { Errno } from './errno.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { Guest } from '../guest.ts';
import type { HostFunction, Plan } from '../host-function.ts';
import { STDIN } from './descriptors.ts';
import { readClock } from './clocks.ts';

/** Most subscriptions in one call; more is EINVAL. Bounds the work of a plan. */
export const MAX_SUBSCRIPTIONS = 1024;

const SUBSCRIPTION_BYTES = 48;
const EVENT_BYTES = 32;
const EVENT_CLOCK = 0;
const EVENT_FD_READ = 1;
const EVENT_FD_WRITE = 2;
const FLAG_ABSTIME = 1;
const FLAG_HANGUP = 1;

interface Event {
  readonly userData: bigint;
  readonly kind: number;
  readonly errno: number;
  readonly readyBytes: bigint;
  readonly flags: number;
}

/** A subscription, and in how many nanoseconds its event comes: 0 for at once. */
interface Due {
  readonly inNs: bigint;
  readonly event: Event;
}

export const pollFunctions: Record<string, HostFunction> = {
  poll_oneoff: hostFunction(
    ['i32', 'i32', 'i32', 'i32'],
    (guest, subscriptions, events, count, eventCount) =>
      poll(guest, { subscriptions, events, count, eventCount }),
  ),
};

function poll(
  guest: Guest,
  at: { subscriptions: number; events: number; count: number; eventCount: number },
): Plan {
  if (at.count === 0 || at.count > MAX_SUBSCRIPTIONS) return answer(Errno.INVAL);
  const input = guest.memory.view(at.subscriptions, at.count * SUBSCRIPTION_BYTES);
  const output = guest.memory.view(at.events, at.count * EVENT_BYTES);
  const result = guest.memory.view(at.eventCount, 4);
  if (input === undefined || output === undefined || result === undefined) {
    return answer(Errno.FAULT);
  }
  const all: Due[] = [];
  for (let offset = 0; offset < input.byteLength; offset += SUBSCRIPTION_BYTES) {
    const due = readSubscription(guest, input, offset);
    if (due === undefined) return answer(Errno.INVAL, input.byteLength);
    all.push(due);
  }
  const sleepNs = all.reduce((least, { inNs }) => (inNs < least ? inNs : least), all[0]!.inNs);
  const happened = all.filter(({ inNs }) => inNs <= sleepNs).map(({ event }) => event);
  return {
    touchedBytes: input.byteLength + happened.length * EVENT_BYTES + 4,
    sleepNs,
    act() {
      happened.forEach((event, index) => writeEvent(output, index * EVENT_BYTES, event));
      result.setUint32(0, happened.length, true);
      return Errno.SUCCESS;
    },
  };
}

/** Undefined for a kind of event that does not exist. Clocks are read as the call begins. */
function readSubscription(guest: Guest, input: DataView, at: number): Due | undefined {
  const userData = input.getBigUint64(at, true);
  const kind = input.getUint8(at + 8);
  if (kind === EVENT_CLOCK) {
    const event = { userData, kind, errno: Errno.SUCCESS, readyBytes: 0n, flags: 0 };
    const now = readClock(guest, input.getUint32(at + 16, true));
    if (now === undefined) return { inNs: 0n, event: { ...event, errno: Errno.INVAL } };
    const timeout = input.getBigUint64(at + 24, true);
    const isAbsolute = (input.getUint16(at + 40, true) & FLAG_ABSTIME) !== 0;
    if (!isAbsolute) return { inNs: timeout, event };
    return { inNs: timeout > now ? timeout - now : 0n, event };
  }
  if (kind === EVENT_FD_READ || kind === EVENT_FD_WRITE) {
    return { inNs: 0n, event: streamEvent(guest, userData, kind, input.getUint32(at + 16, true)) };
  }
  return undefined;
}

function streamEvent(guest: Guest, userData: bigint, kind: number, fd: number): Event {
  const event = { userData, kind, errno: Errno.SUCCESS, readyBytes: 0n, flags: 0 };
  if (!guest.openDescriptors.has(fd)) return { ...event, errno: Errno.BADF };
  if ((fd === STDIN) !== (kind === EVENT_FD_READ)) return { ...event, errno: Errno.NOTCAPABLE };
  if (kind === EVENT_FD_WRITE) return event;
  const left = guest.input.byteLength - guest.stdinOffset;
  return { ...event, readyBytes: BigInt(left), flags: left === 0 ? FLAG_HANGUP : 0 };
}

function writeEvent(output: DataView, at: number, event: Event): void {
  output.setBigUint64(at, event.userData, true);
  output.setUint16(at + 8, event.errno, true);
  output.setUint8(at + 10, event.kind);
  output.setUint8(at + 11, 0);
  output.setUint32(at + 12, 0, true);
  output.setBigUint64(at + 16, event.readyBytes, true);
  output.setUint16(at + 24, event.flags, true);
  output.setUint16(at + 26, 0, true);
  output.setUint32(at + 28, 0, true);
}
