// Where a job may run and when, as the command line asks for it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { InvalidArgumentError, Option, type Command } from 'commander';

import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import type { JobSpecSchema } from '#gen/gapjunction/job/v1/job_pb';

import { positiveNumber, wholeNumber } from '../arguments.ts';

const ISOLATION_LEVELS = {
  process: IsolationLevel.PROCESS,
  namespaces: IsolationLevel.NAMESPACES,
} as const;

export interface PlacementOptions {
  readonly priority?: number;
  readonly label?: Readonly<Record<string, string>>;
  readonly isolation?: keyof typeof ISOLATION_LEVELS;
  readonly queueTimeoutMs?: number;
  readonly totalTimeoutMs?: number;
}

export function addPlacementOptions(command: Command): Command {
  return command
    .option('--priority <n>', '0 to 9: the higher of your own jobs comes first', wholeNumber)
    .option(
      '--label <key=value>',
      'only on nodes with this label (may be given several times)',
      addLabel,
    )
    .addOption(
      new Option('--isolation <level>', 'only on nodes with at least this isolation').choices(
        Object.keys(ISOLATION_LEVELS),
      ),
    )
    .option(
      '--queue-timeout-ms <n>',
      'give up when it waits for a node for so long (default: an hour)',
      positiveNumber,
    )
    .option(
      '--total-timeout-ms <n>',
      'give up so long after its submission, whatever it is doing',
      positiveNumber,
    );
}

/** The fields of the spec; the contract's bounds on them are the control plane's to check. */
export function placementOf(
  options: PlacementOptions,
): Pick<
  MessageInitShape<typeof JobSpecSchema>,
  'priority' | 'constraints' | 'queueTimeoutMs' | 'totalTimeoutMs'
> {
  return {
    priority: options.priority ?? 0,
    constraints: {
      labels: { ...options.label },
      ...(options.isolation !== undefined && {
        isolationLevel: ISOLATION_LEVELS[options.isolation],
      }),
    },
    queueTimeoutMs: BigInt(options.queueTimeoutMs ?? 0),
    totalTimeoutMs: BigInt(options.totalTimeoutMs ?? 0),
  };
}

function addLabel(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  const key = text.slice(0, at);
  if (at < 1) throw new InvalidArgumentError(`'${text}' is not key=value.`);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`'${key}' is given twice.`);
  return { ...before, [key]: text.slice(at + 1) };
}
