// The return page's HTML: no script, nothing loaded, every value escaped.

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#16202c, #e6edf5); --dim: light-dark(#51606f, #9fb0c2);
  --paper: light-dark(#ffffff, #18212b); --back: light-dark(#eef2f6, #0f151c); --line: light-dark(#cfd9e3, #34424f) }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 38rem; margin: 2.5rem auto; padding: 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: 12px }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; text-wrap: balance }
dt { color: var(--dim); font-size: .875rem; margin-top: 1rem }
dd { margin: .15rem 0 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere }
.code { font-size: 1.25rem; padding: .75rem 1rem; border: 2px solid var(--ink); border-radius: 8px; user-select: all }
p { color: var(--dim); margin: 1rem 0 0 }
@media (max-width: 40rem) { main { margin: 0; border: 0; border-radius: 0; padding: 1.25rem } }
`;

export function codePage(shown: {
  readonly accountId: string;
  readonly fingerprint: string;
  readonly code: string;
}): string {
  return documentOf(
    'Paste this code into the agent',
    `<h1>Paste this code into the agent</h1>
<dl>
<dt>Code, good for a few minutes and once</dt><dd class="code" id="code">${escapeHtml(shown.code)}</dd>
<dt>Stripe account that will be paid</dt><dd id="account">${escapeHtml(shown.accountId)}</dd>
<dt>Fingerprint of the key that asked</dt><dd id="fingerprint">${escapeHtml(shown.fingerprint)}</dd>
</dl>
<p>Paste it only if the fingerprint is the one that the agent on your own machine shows. If somebody sent you here, close this page: with the code, their machine would be yours in name.</p>`,
  );
}

export function problemPage(text: string): string {
  return documentOf(
    'This did not work',
    `<h1>This did not work</h1><p role="alert">${escapeHtml(text)}</p>`,
  );
}

function documentOf(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} - Gap Junction</title><style>${STYLE}</style></head>
<body><main>${body}</main></body></html>
`;
}

/** For text and for quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
