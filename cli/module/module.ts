import { Command } from 'commander';

import { moduleInspectCommand } from '../module-inspect.ts';
import { moduleListCommand } from './list.ts';
import { modulePushCommand } from './push.ts';

/** `gap-junction module inspect|push|list` */
export function moduleCommand(): Command {
  return new Command('module')
    .addCommand(moduleInspectCommand())
    .addCommand(modulePushCommand())
    .addCommand(moduleListCommand());
}
