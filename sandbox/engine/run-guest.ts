// One run of one guest, on the thread that calls it: a new instance, its host functions, its end.
import { FuelMeter, HostFault, OutOfFuel, Stopped, trapOf } from '../../metering/metering.ts';
import { BoundedBytes } from '../bounded-bytes.ts';
import { CAPABILITIES } from '../capabilities.ts';
import { GuestClock } from '../wasi/guest-clock.ts';
import { DeadlineReached, GuestExit, HostTrap, OutputTooLarge } from '../guest-end.ts';
import { GuestMemory } from '../guest-memory.ts';
import type { Guest } from '../guest.ts';
import type { GuestEnd, GuestOutcome, GuestSpec } from './guest-run.ts';
import { RandomStream } from '../wasi/random-stream.ts';
import { StopWord, deadlineNs, endOfStop, isBelowFloor } from './stop.ts';
import { digestStopState } from './stop-state.ts';
import { INITIALIZE, entryName } from './prepared-module.ts';
import type { PreparedModule } from './prepared-module.ts';
import { link } from '../host-function.ts';
import { STDERR, STDIN, STDOUT } from '../wasi/descriptors.ts';

/** What a run tells the thread that controls it. */
export interface RunHooks {
  /** Takes what the guest logs; null in a run that keeps no logs. */
  readonly logs: Guest['logs'] | null;
  /** The guest is entered: its deadline begins. */
  onEntry(): void;
  /** The guest has stopped; what follows is only counting up. */
  onStopped(): void;
  onSleep(sleptNs: bigint): void;
  /** Fuel burnt so far, at each refill. */
  onFuel(fuel: bigint): void;
  /** Asked at each refill. */
  stopWord(): number;
}

interface End {
  readonly end: GuestEnd;
  readonly detail: string;
}

/** Runs `prepared` by `spec` to its end, whatever that is; throws only for a mistake of ours. */
export function runGuest(prepared: PreparedModule, spec: GuestSpec, hooks: RunHooks): GuestOutcome {
  const meter = new FuelMeter({
    budgetFuel: spec.limits.fuel,
    onRefill(fuel) {
      hooks.onFuel(fuel);
      return hooks.stopWord() === StopWord.NONE ? 'continue' : 'stop';
    },
  });
  const world = newWorld(meter, spec, hooks);
  let ended: End;
  try {
    enter(prepared, { meter, world, spec, hooks });
    ended = { end: 'SUCCEEDED', detail: '' };
  } catch (error) {
    ended = endOf(error, hooks.stopWord());
  }
  return account(ended, { meter, world, spec, hooks });
}

/** A guest's world whose memory arrives with its instance. */
type World = { -readonly [K in keyof Guest]: Guest[K] };

function newWorld(meter: FuelMeter, spec: GuestSpec, hooks: RunHooks): World {
  return {
    memory: new GuestMemory(null),
    fuel: { charge: (fuel) => meter.charge(BigInt(fuel)) },
    clock: new GuestClock({
      consumed: () => meter.consumedFuel,
      deadlineNs: deadlineNs(spec.limits.epochs),
      onSleep: (sleptNs) => hooks.onSleep(sleptNs),
    }),
    random: new RandomStream(spec.seed),
    input: spec.input,
    stdinOffset: 0,
    openDescriptors: new Set([STDIN, STDOUT, STDERR]),
    output: new BoundedBytes(spec.limits.outputBytes),
    logs: hooks.logs ?? new BoundedBytes(0),
    grants: spec.grants,
  };
}

interface Run {
  readonly meter: FuelMeter;
  readonly world: World;
  readonly spec: GuestSpec;
  readonly hooks: RunHooks;
}

function enter(
  { module, metered, report }: PreparedModule,
  { meter, world, spec, hooks }: Run,
): void {
  const imports: WebAssembly.Imports = { ...meter.imports };
  for (const wanted of report.imports) {
    const host = CAPABILITIES.get(wanted.module)!.get(wanted.name)!;
    (imports[wanted.module] ??= {})[wanted.name] = link(world, host);
  }
  const instance = instantiate(module, imports);
  if (metered.exports.memory !== null) {
    world.memory = new GuestMemory(instance.exports[metered.exports.memory] as WebAssembly.Memory);
  }
  meter.attach(instance, metered);
  hooks.onEntry();
  if (metered.exports.start !== null) call(instance, metered.exports.start);
  if (spec.entry === 'RUN' && INITIALIZE in instance.exports) call(instance, INITIALIZE);
  call(instance, entryName(spec.entry));
}

function instantiate(
  module: WebAssembly.Module,
  imports: WebAssembly.Imports,
): WebAssembly.Instance {
  try {
    return new WebAssembly.Instance(module, imports);
  } catch (error) {
    // The memory or table that a module begins with is within its limits, and not to be had here.
    if (error instanceof RangeError) throw new HostFault(error.message, { cause: error });
    throw error;
  }
}

function call(instance: WebAssembly.Instance, name: string): void {
  (instance.exports[name] as () => void)();
}

function endOf(error: unknown, stopWord: number): End {
  if (error instanceof GuestExit) {
    return error.code === 0
      ? { end: 'SUCCEEDED', detail: '' }
      : { end: 'GUEST_FAILED', detail: `EXIT_CODE_${error.code}` };
  }
  if (error instanceof OutOfFuel) return { end: 'OUT_OF_FUEL', detail: '' };
  if (error instanceof Stopped) return { end: endOfStop(stopWord), detail: '' };
  if (error instanceof DeadlineReached) return { end: 'DEADLINE_EXCEEDED', detail: '' };
  if (error instanceof OutputTooLarge) return { end: 'OUTPUT_TOO_LARGE', detail: '' };
  if (error instanceof HostFault) return { end: 'NODE_FAULT', detail: 'MEMORY_UNAVAILABLE' };
  if (error instanceof HostTrap) return { end: 'TRAPPED', detail: error.trap };
  const trap = trapOf(error);
  if (trap !== null) return { end: 'TRAPPED', detail: trap };
  throw error;
}

function account(ended: End, { meter, world, spec, hooks }: Run): GuestOutcome {
  const isStop = ended.end === 'DEADLINE_EXCEEDED' || ended.end === 'CANCELLED';
  if (isStop) hooks.onStopped();
  const fuel = meter.consumedFuel;
  const { sleptNs } = world.clock;
  const hasResult = ended.end === 'SUCCEEDED' || ended.end === 'GUEST_FAILED';
  const isFault =
    ended.end === 'DEADLINE_EXCEEDED' &&
    isBelowFloor({ fuel, sleptNs, epochs: spec.limits.epochs });
  const needsDigest =
    (isStop && !isFault) || (ended.end === 'OUT_OF_FUEL' && spec.stopStateAtOutOfFuel === true);
  return {
    ...(isFault ? { end: 'NODE_FAULT', detail: 'TOO_SLOW' } : ended),
    fuel,
    output: hasResult ? world.output.take() : new Uint8Array(0),
    logs: world.logs.take(),
    stopStateDigest: needsDigest ? digestStopState(memoriesOf(world.memory)) : null,
    sleptNs,
    peakMemoryPages: world.memory.pages,
  };
}

function memoriesOf(memory: GuestMemory): Uint8Array[] {
  return memory.exists ? [memory.bytes] : [];
}
