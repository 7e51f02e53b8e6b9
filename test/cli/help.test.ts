// The help of every subcommand can be read.
import { expect } from 'chai';
import type { Command } from 'commander';

import { SUBCOMMANDS } from '../../cli/main.ts';

describe('--help', () => {
  for (const { name, load } of SUBCOMMANDS) {
    it(`${name} and what is under it say how they are called`, async () => {
      for (const command of tree(await load())) {
        expect(command.helpInformation()).to.contain('Usage: ').and.contain(command.name());
      }
    });
  }
});

function tree(command: Command): Command[] {
  return [command, ...command.commands.flatMap(tree)];
}
