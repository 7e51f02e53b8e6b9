import { expect } from 'chai';
import fc from 'fast-check';
import { Writable } from 'node:stream';
import { FrameError, FrameReader, writeFrame } from '../../sandbox/engine/frames.ts';
import { endedWithout } from '../../sandbox/engine/guest-run.ts';
import type { GuestOutcome } from '../../sandbox/engine/guest-run.ts';
import {
  FrameKind,
  outcomeFrame,
  readOutcome,
  readProgress,
} from '../../sandbox/engine/messages.ts';
import { specOf } from './guests.ts';

/** The bytes that a frame has on the pipe. */
function written(kind: number, header: object, parts: Uint8Array[] = []): Uint8Array {
  const chunks: Uint8Array[] = [];
  const pipe = new Writable({
    writev(pieces, done) {
      chunks.push(...pieces.map(({ chunk }) => chunk as Uint8Array));
      done();
    },
  });
  writeFrame(pipe, { kind, header, parts });
  return Buffer.concat(chunks);
}

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

describe('frames between agent and sandbox', () => {
  it('arrive whole, however the pipe cuts them', () => {
    const frame = fc.record({
      kind: fc.nat({ max: 255 }),
      header: fc.dictionary(fc.string(), fc.integer()),
      body: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const stream = Buffer.concat(
            frames.map((one) => written(one.kind, one.header, [one.body])),
          );
          const reader = new FrameReader(() => 300);
          const found = [];
          for (let at = 0, cut = 0; at < stream.byteLength; cut++) {
            const length = cuts[cut % cuts.length]!;
            found.push(...reader.push(stream.subarray(at, at + length)));
            at += length;
          }
          expect(found.map(({ kind, body }) => ({ kind, body: [...body] }))).to.deep.equal(
            frames.map(({ kind, body }) => ({ kind, body: [...body] })),
          );
          expect(JSON.stringify(found.map(({ header }) => header))).to.equal(
            JSON.stringify(
              frames.map(({ header }) => JSON.parse(JSON.stringify(header)) as object),
            ),
          );
        },
      ),
    );
  });

  const hostile: Record<string, Uint8Array> = {
    'longer than allowed': bytes('00 01 00 70'),
    'as long as can be said': bytes('ff ff ff ff'),
    'too short for its own head': bytes('00 00 00 04'),
    'a header longer than its frame': bytes('00 00 00 07 01 00 00 00 03 7b 7d'),
    'a header longer than any': bytes('00 00 00 05 01 ff ff ff ff'),
    'a header that is not JSON': bytes('00 00 00 07 01 00 00 00 02 7b 7b'),
    'no header': bytes('00 00 00 05 01 00 00 00 00'),
  };
  for (const [what, stream] of Object.entries(hostile)) {
    it(`refuses ${what}`, () => {
      expect(() => new FrameReader(() => 100).push(stream)).to.throw(FrameError);
    });
  }
});

describe('an outcome from a sandbox that was taken over', () => {
  const spec = specOf(new Uint8Array(0), {
    limits: { fuel: 1000n, outputBytes: 10, logBytes: 10 },
  });
  const honest: GuestOutcome = {
    ...endedWithout('SUCCEEDED', ''),
    fuel: 1000n,
    output: new Uint8Array(10),
    logs: new Uint8Array(10),
    stopStateDigest: new Uint8Array(32),
    peakMemoryPages: 4096,
  };

  function read(change: (header: Record<string, unknown>) => void): GuestOutcome {
    const { header, parts } = outcomeFrame(honest);
    const changed = { ...header } as Record<string, unknown>;
    change(changed);
    return readOutcome({ kind: 6, header: changed, body: Buffer.concat(parts) }, spec);
  }

  it('is read when it is honest, at every bound', () => {
    const found = read(() => undefined);
    expect({ ...found, output: [...found.output] }).to.deep.include({
      end: 'SUCCEEDED',
      fuel: 1000n,
      output: [...honest.output],
    });
  });

  const lies: Record<string, (header: Record<string, unknown>) => void> = {
    'an end that does not exist': (header) => (header['end'] = 'PAID_TWICE'),
    'more fuel than the limit': (header) => (header['fuel'] = '1001'),
    'negative fuel': (header) => (header['fuel'] = '-1'),
    'fuel that is no text': (header) => (header['fuel'] = 1000),
    'fuel in hexadecimal': (header) => (header['fuel'] = '0x10'),
    'more output than the limit': (header) => (header['outputBytes'] = 11),
    'parts that do not add up': (header) => (header['logBytes'] = 9),
    'a digest of half a length': (header) => (header['digestBytes'] = 16),
    'more memory than the limit': (header) => (header['peakMemoryPages'] = 4097),
    'more sleep than there is': (header) => (header['sleptNs'] = String(2n ** 64n)),
    'a detail that draws on terminals': (header) => (header['detail'] = '\u001b[2J'),
    'a detail without end': (header) => (header['detail'] = 'x'.repeat(201)),
    'no detail': (header) => delete header['detail'],
    'parts of half bytes': (header) => (header['outputBytes'] = 9.5),
  };
  for (const [what, lie] of Object.entries(lies)) {
    it(`is refused with ${what}`, () => {
      expect(() => read(lie)).to.throw(FrameError);
    });
  }

  it('comes after progress that stays within what the guest may burn', () => {
    const progress = (fuel: unknown) =>
      readProgress({ kind: FrameKind.PROGRESS, header: { fuel }, body: new Uint8Array() }, spec);
    expect(progress(String(spec.limits.fuel))).to.equal(spec.limits.fuel);
    for (const fuel of [String(spec.limits.fuel + 1n), '-1', 7, undefined]) {
      expect(() => progress(fuel), String(fuel)).to.throw(FrameError);
    }
  });
});
