// Where browsers come back to from Stripe: the return page and nothing else. In front of it stands whatever
// terminates TLS for the public URL, or TLS of its own.
import { RETURN_PATH } from '../enrolment/enrolment-service.ts';
import { serveHttp, type HttpServer, type HttpServerOptions } from './http-server.ts';
import { problemPage } from './page.ts';
import { returnPage, type Page, type ReturnPageDeps } from './return-page.ts';

export type HttpListener = HttpServer;
export type HttpOptions = ReturnPageDeps & Pick<HttpServerOptions, 'host' | 'port' | 'tls'>;

/** A query of ours has a state and a code; twice the room of both. */
const MAX_URL_CHARACTERS = 2_048;

export function startHttp(options: HttpOptions): Promise<HttpListener> {
  return serveHttp({
    ...options,
    async answer(request) {
      const { status, html } = await answer(options, request);
      return { status, contentType: 'text/html; charset=utf-8', text: html };
    },
  });
}

async function answer(
  options: HttpOptions,
  { method, url }: { readonly method: string; readonly url: string },
): Promise<Page> {
  const asked = URL.parse(url, 'http://localhost');
  if (asked === null || url.length > MAX_URL_CHARACTERS)
    return problem(414, 'The URL is too long.');
  if (asked.pathname !== RETURN_PATH) return problem(404, 'There is no such page.');
  if (method !== 'GET') return problem(405, 'This page can only be read.');
  return returnPage(options, asked.searchParams);
}

function problem(status: number, text: string): Page {
  return { status, html: problemPage(text) };
}
