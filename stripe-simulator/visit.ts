// What a person does on the page, done by a program: the demo and the tests connect accounts with it.

import type { AccountSwitches } from './account.ts';

/**
 * Submits the form of the page at `connectUrl` and answers where it sends the browser next: the
 * platform's redirect address with `code` and `state`, or with `error`. Does not follow it. An account of
 * a known name is chosen as it is; a new one gets the switches (verified by default). Throws when the
 * page refuses.
 */
export async function connectAccount(
  connectUrl: string,
  {
    accountName,
    switches,
    decision = 'connect',
  }: {
    readonly accountName: string;
    readonly switches?: AccountSwitches;
    readonly decision?: 'connect' | 'deny';
  },
): Promise<URL> {
  const url = new URL(connectUrl);
  const form = new URLSearchParams(url.search);
  form.set('account', 'new');
  form.set('name', accountName);
  form.set('decision', decision);
  if (switches !== undefined) {
    form.set('switches', 'shown');
    if (switches.detailsSubmitted) form.set('details_submitted', '1');
    if (switches.payoutsEnabled) form.set('payouts_enabled', '1');
    if (switches.transfers === 'active') form.set('transfers', '1');
    if (switches.pastDue.length > 0) form.set('past_due', '1');
  }
  const response = await fetch(`${url.origin}${url.pathname}`, {
    method: 'POST',
    body: form,
    redirect: 'manual',
  });
  const location = response.headers.get('location');
  if (response.status !== 303 || location === null) {
    throw new Error(
      `Connecting the account '${accountName}': the page answered ${response.status}, ${await response.text()}`,
    );
  }
  return new URL(location);
}
