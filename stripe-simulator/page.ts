// The simulator's two pages: plain HTML that works without a script, in any browser and for a screen
// reader, in light and dark.

import type { SimulatedAccount } from './account.ts';
import { MAX_NAME_CHARACTERS, type AuthorizeRequest } from './authorize.ts';

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c2434, #e8ecf4); --dim: light-dark(#56617a, #a3aec4);
  --paper: light-dark(#ffffff, #1b2130); --back: light-dark(#f1f3f9, #11151f);
  --line: light-dark(#d5dbe8, #38435a); --accent: light-dark(#5147d9, #9d95ff); --on-accent: light-dark(#fff, #14121f) }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 34rem; margin: 2.5rem auto; padding: 2rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 12px }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; text-wrap: balance }
p { margin: 0 0 1rem; color: var(--dim); overflow-wrap: anywhere }
.note { display: inline-block; padding: .1rem .6rem; border: 1px solid var(--line); border-radius: 99px; font-size: .875rem }
fieldset { border: 1px solid var(--line); border-radius: 8px; margin: 0 0 1rem; padding: .75rem 1rem 1rem }
legend { font-weight: 600; padding: 0 .4rem }
label { display: flex; gap: .6rem; align-items: baseline; padding: .3rem 0 }
label small { color: var(--dim) }
.field { display: block; font-weight: 600 }
input[type=text] { width: 100%; padding: .55rem .7rem; font: inherit; color: inherit; background: var(--back);
  border: 1px solid var(--dim); border-radius: 6px }
input[type=checkbox], input[type=radio] { accent-color: var(--accent) }
.buttons { display: flex; gap: .75rem; margin-top: 1.25rem }
button { font: inherit; font-weight: 600; padding: .6rem 1.4rem; border-radius: 6px; cursor: pointer;
  border: 1px solid var(--dim); background: transparent; color: inherit }
button.first { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
@media (max-width: 36rem) { main { margin: 0; border: 0; border-radius: 0; padding: 1.25rem } }
`;

/** The page on which an owner chooses or makes an account and connects it. */
export function connectPage(
  asked: AuthorizeRequest,
  accounts: readonly SimulatedAccount[],
): string {
  return documentOf(
    'Connect an account',
    `<p><span class="note">Simulator: no money, no real Stripe account</span></p>
<h1>Connect your account to Gap Junction</h1>
<p>Afterwards you go on to ${escapeHtml(asked.redirectUri.origin)}, which learns the account's id and whether it can be paid.</p>
<form method="post" action="/oauth/authorize">
${hidden('client_id', asked.clientId)}${hidden('redirect_uri', asked.redirectUri.href)}${hidden('state', asked.state)}${hidden('switches', 'shown')}
<fieldset><legend>Account</legend>
${accounts.map(accountChoice).join('\n')}
<label><input type="radio" name="account" value="new" checked> <span>A new account</span></label>
<label class="field" for="name">Name of the new account</label>
<input type="text" id="name" name="name" maxlength="${MAX_NAME_CHARACTERS}" autocomplete="off" value="Account ${accounts.length + 1}">
</fieldset>
<fieldset><legend>What Stripe knows of the new account</legend>
${checkbox('details_submitted', 'Details submitted', true)}
${checkbox('payouts_enabled', 'Payouts enabled', true)}
${checkbox('transfers', 'Transfers capability active', true)}
${checkbox('past_due', 'A requirement is past due', false)}
</fieldset>
<div class="buttons"><button class="first" name="decision" value="connect">Connect</button>
<button name="decision" value="deny" formnovalidate>Cancel</button></div>
</form>`,
  );
}

export function problemPage(text: string): string {
  return documentOf(
    'This cannot be connected',
    `<h1>This cannot be connected</h1><p role="alert">${escapeHtml(text)}</p>`,
  );
}

function accountChoice(account: SimulatedAccount): string {
  const state =
    account.detailsSubmitted &&
    account.payoutsEnabled &&
    account.transfers === 'active' &&
    account.pastDue.length === 0
      ? 'verified'
      : 'not verified';
  return `<label><input type="radio" name="account" value="${escapeHtml(account.id)}"> <span>${escapeHtml(account.name)} <small>${escapeHtml(account.id)}, ${state}</small></span></label>`;
}

function checkbox(name: string, text: string, checked: boolean): string {
  return `<label><input type="checkbox" name="${name}" value="1"${checked ? ' checked' : ''}> <span>${text}</span></label>`;
}

function hidden(name: string, value: string): string {
  return `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`;
}

function documentOf(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} - Stripe simulator</title><style>${STYLE}</style></head>
<body><main>${body}</main></body></html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
