import { expect } from 'chai';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildGuests } from '../../examples/guests/build.ts';
import type { GuestName } from '../../examples/guests/build.ts';
import { whenAll } from '../all.ts';
import { compileC, compileGo, gofmtSource, ROT13, WORDS } from './compilers.ts';
import { specOf } from './guests.ts';
import { withPool } from './pool.ts';

describe('the example guests', () => {
  const { run } = withPool(1);
  let guests: Record<GuestName, string>;
  before(async () => {
    guests = await buildGuests();
  });

  /** Four quarters: red, green, blue, white. */
  function quarters(side: number): Uint8Array {
    const head = Buffer.from(`P6\n# four quarters\n${side} ${side}\n255\n`);
    const pixels = Buffer.alloc(side * side * 3);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const quarter = (y < side / 2 ? 0 : 2) + (x < side / 2 ? 0 : 1);
        if (quarter === 3) pixels.fill(255, (y * side + x) * 3, (y * side + x) * 3 + 3);
        else pixels[(y * side + x) * 3 + quarter] = 255;
      }
    }
    return Buffer.concat([head, pixels]);
  }

  it('sketch: a picture becomes a drawing, dark at its edges and pale between them', async () => {
    const module = await readFile(guests.sketch);
    const drawing = await run(specOf(module, { input: quarters(64) }));
    expect(drawing.end).to.equal('SUCCEEDED');
    const view = Buffer.from(drawing.output);
    expect(view.toString('latin1', 0, 2)).to.equal('BM');
    expect([view.readInt32LE(18), view.readInt32LE(22)]).to.deep.equal([64, 64]);
    const pixel = (x: number, y: number) => [
      ...view.subarray(54 + ((63 - y) * 64 + x) * 3).subarray(0, 3),
    ];
    expect(pixel(10, 10), 'a quarter of red on white, as blue, green, red').to.deep.equal([
      191, 191, 255,
    ]);
    expect(Math.max(...pixel(32, 50)), 'the edge between blue and white').to.be.below(64);
    const again = await run(specOf(module, { input: drawing.output }));
    expect(again.end, 'it reads what it writes').to.equal('SUCCEEDED');
  });

  it('sketch: what is no picture traps, and is charged for what it did', async () => {
    const module = await readFile(guests.sketch);
    const outcome = await run(specOf(module, { input: Buffer.from('GIF89a') }));
    expect(outcome).to.include({ end: 'TRAPPED', detail: 'UNREACHABLE' });
    expect(Number(outcome.fuel)).to.be.greaterThan(100);
  });

  it('infinite-loop: ends with its fuel', async () => {
    const module = await readFile(guests['infinite-loop']);
    expect(await run(specOf(module, { limits: { fuel: 5_000_000n } }))).to.include({
      end: 'OUT_OF_FUEL',
      fuel: 5_000_000n,
    });
  });

  it('memory-hog: gets its limit and no more, again and again', async () => {
    const module = await readFile(guests['memory-hog']);
    for (let round = 0; round < 5; round++) {
      expect(await run(specOf(module))).to.include({
        end: 'TRAPPED',
        detail: 'UNREACHABLE',
        peakMemoryPages: 4096,
      });
    }
  });

  it('reach: gets nothing', async () => {
    const { end, output } = await run(specOf(await readFile(guests.reach)));
    expect(end).to.equal('SUCCEEDED');
    const lines = Buffer.from(output).toString().trim().split('\n');
    expect(lines).to.have.length(11);
    expect(lines.filter((line) => line.includes('allowed'))).to.deep.equal([]);
    expect(lines.at(-1)).to.equal('environment variables: 0');
  });
});

whenAll('programs of other compilers, stdin to stdout', () => {
  const { run } = withPool(1);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gap-junction-guests-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  async function command(name: string, input: string) {
    const spec = specOf(await readFile(join(folder, name)), {
      entry: 'START',
      input: Buffer.from(input),
      grants: { stdoutAsResult: true, debugLogs: true },
    });
    const outcome = await run(spec);
    expect(await run(spec), 'the same again').to.deep.equal(outcome);
    return { ...outcome, text: Buffer.from(outcome.output).toString() };
  }

  it('C: rot13', async () => {
    await compileC(ROT13, join(folder, 'rot13.wasm'));
    const { end, text } = await command('rot13.wasm', 'Hello, World!\n');
    expect({ end, text }).to.deep.equal({ end: 'SUCCEEDED', text: 'Uryyb, Jbeyq!\n' });
  });

  it('C: clocks, random, files and exit code as a C library sees them', async () => {
    await writeFile(
      join(folder, 'look.c'),
      `#include <errno.h>
       #include <stdio.h>
       #include <stdlib.h>
       #include <time.h>
       #include <unistd.h>
       int main(void) {
         struct timespec before, after;
         clock_gettime(CLOCK_MONOTONIC, &before);
         sleep(5);
         clock_gettime(CLOCK_MONOTONIC, &after);
         unsigned char random[4];
         printf("%ld %ld %d %d %s %ld\\n", (long)time(NULL), (long)(after.tv_sec - before.tv_sec),
           getentropy(random, 4), fopen("/etc/passwd", "r") != NULL,
           getenv("PATH") ? "path" : "none", (long)lseek(0, 0, SEEK_CUR));
         return 7;
       }`,
    );
    await compileC(join(folder, 'look.c'), join(folder, 'look.wasm'));
    const { end, detail, text, sleptNs } = await command('look.wasm', '');
    expect({ end, detail, text, sleptNs }).to.deep.equal({
      end: 'GUEST_FAILED',
      detail: 'EXIT_CODE_7',
      text: '0 5 0 0 none -1\n',
      sleptNs: 5_000_000_000n,
    });
  });

  it('Go: counts words', async () => {
    await compileGo(WORDS, join(folder, 'words.wasm'));
    const { end, text } = await command('words.wasm', 'to be or not to be, that is\n');
    expect({ end, text }).to.deep.equal({
      end: 'SUCCEEDED',
      text: '2 be\n2 to\n1 is\n1 not\n1 or\n1 that\n',
    });
  });

  it('Go: gofmt, which nobody wrote for this', async () => {
    await compileGo(await gofmtSource(), join(folder, 'gofmt.wasm'));
    const { end, text } = await command('gofmt.wasm', 'package x\nfunc  f( ) {\nx:=1;_=x }\n');
    expect({ end, text }).to.deep.equal({
      end: 'SUCCEEDED',
      text: 'package x\n\nfunc f() {\n\tx := 1\n\t_ = x\n}\n',
    });
  });
});
