import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import { expect } from 'chai';

import { systemClock } from '../../../server/clock.ts';
import { ModuleCheck, startChecker } from '../../../server/jobs/module-check.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { whenAll } from '../../all.ts';
import { thrownBy } from '../../fakes/failure.ts';
import { wasm } from '../../sandbox/guests.ts';

const VALUE_TYPES = ['i32', 'i64', 'f32', 'f64'] as const;
const TYPES_PER_MODULE = 9_999;

/** A program of types that no other program of this test has. */
async function programOfTypes(index: number): Promise<Uint8Array> {
  const types = Array.from({ length: TYPES_PER_MODULE }, (_, at) => {
    let number = index * TYPES_PER_MODULE + at;
    const parameters = Array.from({ length: 14 }, () => {
      const type = VALUE_TYPES[number % VALUE_TYPES.length];
      number = Math.floor(number / VALUE_TYPES.length);
      return type;
    });
    return `(type (func (param ${parameters.join(' ')})))`;
  });
  return wasm(`(module ${types.join('\n')} (func (export "run")))`);
}

whenAll('the check of modules', () => {
  const check = new ModuleCheck(systemClock);
  after(() => check.close());

  it('goes on, and the control plane with it, after more types than V8 takes in a process', async function () {
    this.timeout(240_000);
    for (let index = 0; index < 220; index += 1) {
      expect(await check.check(await programOfTypes(index))).to.include({ exportsRun: true });
    }
  });
});

describe('a process that checks modules', () => {
  let started: ChildProcess[];
  let check: ModuleCheck;
  let program: Uint8Array;
  before(async () => {
    program = await wasm('(module (func (export "run")))');
  });
  beforeEach(() => {
    started = [];
  });
  afterEach(() => check.close());

  /** Kills the first so many processes before they can answer. */
  function checkThatLoses(killed: number): ModuleCheck {
    return new ModuleCheck(systemClock, () => {
      const checker = startChecker();
      started.push(checker);
      if (started.length <= killed) checker.kill('SIGKILL');
      return checker;
    });
  }

  it('that is killed at its work is no fault of the module: another checks it', async () => {
    check = checkThatLoses(1);
    expect(await check.check(program)).to.include({ exportsRun: true });
    expect(started).to.have.length(2);
  });

  it('that is killed between two modules is no fault of the next', async () => {
    check = checkThatLoses(0);
    await check.check(program);
    const [first] = started;
    first?.kill('SIGKILL');
    if (first !== undefined) await once(first, 'exit');
    expect(await check.check(program)).to.include({ exportsRun: true });
  });

  it('and a second one that die of a module have it refused', async () => {
    check = checkThatLoses(2);
    const error = await thrownBy(check.check(program));
    expect(error).to.include({ code: 'INVALID_ARGUMENT', reason: 'MODULE_REFUSED' });
    expect(error).to.have.property('message').that.contains('too much memory');
    expect(started).to.have.length(2);
    expect(await check.check(program), 'the next gets a third').to.include({ exportsRun: true });
  });

  it('that cannot be started has no module refused', async () => {
    check = new ModuleCheck(systemClock, () => {
      const checker = fork('never-read', [], { execPath: '/nowhere/node' });
      started.push(checker);
      return checker;
    });
    const error = await thrownBy(check.check(program));
    expect(error).to.be.instanceOf(Error).and.not.instanceOf(RpcError);
    expect(started).to.have.length(2);
  });
});
