// Lists of any length travel in pages. A token is opaque to its holder and means a position to us.
import { RpcError } from './error.ts';

/** What the contract says 0 means; it also bounds a page at 200. */
const DEFAULT_PAGE_SIZE = 50;

export function pageLimit(pageSize: number): number {
  return pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
}

/** Fields of a position, none with a comma in it. */
export function pageToken(fields: readonly (string | number | bigint)[]): string {
  return Buffer.from(fields.join(',')).toString('base64url');
}

/** The fields, or null for an empty token. Throws RpcError INVALID_ARGUMENT (PAGE_TOKEN_UNKNOWN). */
export function readPageToken(token: string, form: RegExp): string[] | null {
  if (token === '') return null;
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!form.test(text)) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'PAGE_TOKEN_UNKNOWN',
      'reading the page token: it is not one of ours; pass next_page_token as it was answered',
    );
  }
  return text.split(',');
}

/** The items of the page and the token of the next, from one item more than fits. */
export function pageOf<T>(
  items: readonly T[],
  limit: number,
  positionOf: (last: T) => readonly (string | number | bigint)[],
): { readonly items: readonly T[]; readonly nextPageToken: string } {
  const page = items.slice(0, limit);
  const last = page.at(-1);
  const more = items.length > limit && last !== undefined;
  return { items: page, nextPageToken: more ? pageToken(positionOf(last)) : '' };
}
