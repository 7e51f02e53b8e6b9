// What a machine reads of this replica over plain HTTP: `/metrics` for Prometheus, `/health` for whoever
// asks which part is down, `/live` for a supervisor. Its port belongs on a private network: it has no
// secrets, and no authentication.
import type { HttpAnswer } from '../http/http-server.ts';
import type { PartStatus } from '../health/parts.ts';
import type { Metrics } from './metrics.ts';

export interface PageSources {
  readonly metrics: Pick<Metrics, 'scrape'>;
  readonly parts: { all(): readonly PartStatus[]; isServing(): boolean };
  /** Names this process in the answer. */
  readonly replicaId: string;
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** The page of this path and method. */
export async function metricsPage(
  { metrics, parts, replicaId }: PageSources,
  { method, url }: { readonly method: string; readonly url: string },
): Promise<HttpAnswer> {
  if (method !== 'GET') return text(405, 'only GET and HEAD');
  switch (URL.parse(url, 'http://localhost')?.pathname ?? '') {
    case '/metrics': {
      const scraped = await metrics.scrape();
      return { status: 200, ...scraped };
    }
    case '/health': {
      const serving = parts.isServing();
      return json(serving ? 200 : 503, {
        status: serving ? 'SERVING' : 'NOT_SERVING',
        replica: replicaId,
        parts: Object.fromEntries(
          parts
            .all()
            .map(({ name, needed, up, sinceMs }) => [
              name,
              { up, needed, since: new Date(sinceMs).toISOString() },
            ]),
        ),
      });
    }
    case '/live':
      return text(200, 'alive');
    default:
      return text(404, 'there are /metrics, /health and /live');
  }
}

function json(status: number, body: object): HttpAnswer {
  return { status, contentType: JSON_TYPE, text: `${JSON.stringify(body)}\n` };
}

function text(status: number, line: string): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', text: `${line}\n` };
}
