// Long lists come in pages, from every service alike.
import type { Command } from 'commander';

import { positiveNumber } from './arguments.ts';
import { progress } from './output.ts';

export interface PageOptions {
  readonly pageSize?: number;
  readonly pageToken?: string;
}

export function addPageOptions(command: Command): Command {
  return command
    .option('--page-size <n>', 'rows a page, at most 200 (default 50)', positiveNumber)
    .option('--page-token <token>', 'go on after the last page');
}

export function tellNextPage({ nextPageToken }: { readonly nextPageToken: string }): void {
  if (nextPageToken !== '') progress(`more: --page-token ${nextPageToken}`);
}
