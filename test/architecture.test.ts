// The house rules that a test can keep: which folder may import which, who alone touches a library or an
// effect, and how files are named and sized. Each rule names its replacement.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

import { expect } from 'chai';

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Module specifiers as written, of imports and re-exports, static and dynamic. */
  readonly imports: readonly string[];
}

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '');

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

const sources: readonly SourceFile[] = tracked
  .filter((path) => /\.(ts|mjs)$/.test(path) && !path.startsWith('gen/'))
  .map((path) => {
    const text = readFileSync(path, 'utf8');
    const imports = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? '');
    return { path, text, lines: text.split('\n'), imports };
  });

const production = sources.filter(({ path }) => !/^(test|examples)\//.test(path));

const topFolder = (path: string): string => path.split('/')[0] ?? path;

/** The folder of ours that an import leads to, or null for a library. */
function targetFolder(file: SourceFile, specifier: string): string | null {
  if (specifier.startsWith('#gen/')) return 'gen';
  if (!specifier.startsWith('.')) return null;
  return topFolder(normalize(join(dirname(file.path), specifier)));
}

/** Which of our folders each may import, besides itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  metering: [],
  protocol: ['gen'],
  sandbox: ['metering'],
  server: ['protocol', 'metering', 'gen'],
  agent: ['protocol', 'sandbox', 'gen'],
  'stripe-simulator': [],
  cli: [
    'protocol',
    'metering',
    'sandbox',
    'server',
    'agent',
    'stripe-simulator',
    'examples',
    'gen',
  ],
};

/** Who alone may import a library; all others go through it. */
const IMPORTERS: Readonly<Record<string, RegExp>> = {
  '@grpc/grpc-js': /^server\/rpc\//,
  '@mikro-orm/': /^server\/(store\/|[a-z-]+\/[a-z-]+\.entity\.ts$|[a-z-]+\/[a-z-]+-store\.ts$)/,
  ioredis: /^server\/redis\//,
  'prom-client': /^server\/metrics\//,
  stripe: /^server\/stripe\//,
  'rate-limiter-flexible': /^server\/rpc\//,
  wabt: /^cli\//,
  assemblyscript: /^examples\//,
  'playwright-core': /^test\//,
};

/** Effects, and the files that may have them: the edges. */
const EFFECTS: readonly {
  readonly what: RegExp;
  readonly instead: string;
  readonly edges: readonly RegExp[];
}[] = [
  {
    what: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
    instead: 'take `now`, or a Clock, as an argument',
    edges: [/(^|\/)clock\.ts$/, /^cli\//, /^test\/bench\//],
  },
  {
    what: /\bMath\.random\(/,
    instead: 'take `random` as an argument',
    edges: [/(^|\/)clock\.ts$/],
  },
  {
    what: /(?<![.\w])set(Timeout|Interval|Immediate)\(/,
    instead: 'take a Clock, or an AbortSignal, as an argument',
    edges: [/(^|\/)clock\.ts$/],
  },
  {
    what: /\bprocess\.env\b/,
    instead: 'read it in config.ts, and pass what it says',
    edges: [/^cli\//, /^server\/config\.ts$/],
  },
];

/** Files whose nature is an edge, each with its reason. */
const EDGE_FILES: readonly string[] = [];

const VAGUE_NAME = /(^|\/)(utils?|helpers?|common|misc|types)(\.ts|\/)/;
const MAX_LINES = 300;

describe('the house rules', () => {
  it('each folder imports only the folders that it may know', () => {
    const broken = production.flatMap((file) => {
      const from = topFolder(file.path);
      const allowed = ARROWS[from];
      if (allowed === undefined) return [];
      return file.imports.flatMap((specifier) => {
        const to = targetFolder(file, specifier);
        return to === null || to === from || allowed.includes(to) ? [] : [`${file.path} -> ${to}`];
      });
    });
    expect(broken).to.deep.equal([]);
  });

  it('a library has one place that imports it', () => {
    const broken = production.flatMap((file) =>
      file.imports.flatMap((specifier) => {
        const owner = Object.entries(IMPORTERS).find(
          ([library]) =>
            specifier === library || specifier.startsWith(library.replace(/\/?$/, '/')),
        );
        return owner === undefined || owner[1].test(file.path)
          ? []
          : [`${file.path} imports ${specifier}: only ${owner[1].source} may`];
      }),
    );
    expect(broken).to.deep.equal([]);
  });

  it('only the services see the wire, and only the stores see the database', () => {
    const broken = production.flatMap((file) =>
      /\bEntityManager\b/.test(file.text) &&
      !/^server\/(store\/|[a-z-]+\/([a-z-]+-)?[a-z]*store\.ts$)/.test(file.path)
        ? [file.path]
        : [],
    );
    expect(broken).to.deep.equal([]);
  });

  for (const { what, instead, edges } of EFFECTS) {
    it(`${what.source} stays at the edge: elsewhere, ${instead}`, () => {
      const broken = production
        .filter(({ path }) => !edges.some((edge) => edge.test(path)) && !EDGE_FILES.includes(path))
        .flatMap(({ path, lines }) =>
          lines.flatMap((line, index) =>
            what.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line) ? [`${path}:${index + 1}`] : [],
          ),
        );
      expect(broken).to.deep.equal([]);
    });
  }

  it('a file is named after what it holds', () => {
    expect(
      tracked.filter((path) => VAGUE_NAME.test(path) && !path.startsWith('gen/')),
    ).to.deep.equal([]);
  });

  it('a long file says its one reason at its top', () => {
    const broken = sources
      .filter(({ lines }) => lines.length > MAX_LINES)
      .filter(({ lines }) => !/^(\/\/|\/\*|#!)/.test(lines[0] ?? ''))
      .map(({ path, lines }) => `${path}: ${lines.length} lines`);
    expect(broken).to.deep.equal([]);
    const long = production.filter(({ lines }) => lines.length > MAX_LINES).length;
    expect(long / production.length, 'share of long files').to.be.below(0.1);
  });

  it('nothing is left for later', () => {
    const later = /\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b/;
    const broken = sources.flatMap(({ path, lines }) =>
      lines.flatMap((line, index) => (later.test(line) ? [`${path}:${index + 1}`] : [])),
    );
    expect(broken).to.deep.equal([]);
  });

  it('no test waits by the clock or is switched off by hand', () => {
    const broken = sources
      .filter(({ path }) => path.endsWith('.test.ts') && path !== 'test/architecture.test.ts')
      .flatMap(({ path, lines }) =>
        lines.flatMap((line, index) =>
          /\b(it|describe)\.(only|skip)\(|(?<![.\w])setTimeout\(|timers\/promises/.test(line)
            ? [`${path}:${index + 1}`]
            : [],
        ),
      );
    expect(broken).to.deep.equal([]);
  });

  it('every RPC of the contract says who may call it', () => {
    const broken = tracked
      .filter((path) => path.startsWith('proto/') && path.endsWith('.proto'))
      .flatMap((path) => {
        const text = readFileSync(path, 'utf8');
        const rpcs = text.match(/\brpc \w+/g)?.length ?? 0;
        const options = text.match(/option \(gapjunction\.access\.v1\.access\)/g)?.length ?? 0;
        return rpcs === options ? [] : [`${path}: ${rpcs} RPCs, ${options} access options`];
      });
    expect(broken).to.deep.equal([]);
  });
});
