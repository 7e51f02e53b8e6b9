// The id of the call that submitted a job: what happens to the job here is logged and told under it.

/** Anything else could forge log lines or fill them; the control plane holds ids to the same. */
const SANE = /^[A-Za-z0-9._-]{1,64}$/;

/** The id as an order carries it; empty where it has none, or one that nobody would take. */
export function saneRequestId(given: string): string {
  return SANE.test(given) ? given : '';
}

/** What goes with a call that is made for this job. */
export function headersOf({ requestId }: { readonly requestId: string }): Record<string, string> {
  return requestId === '' ? {} : { 'x-request-id': requestId };
}
