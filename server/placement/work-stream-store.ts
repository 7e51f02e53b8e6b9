// Which of a node's Work streams is its newest, whichever replica it is open at: each gets a number, and the
// highest counts. And what is known of the attempts that a stream is about.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** The new stream's number, 1 for the node's first; 0 for an id that is no node's. */
export async function numberWorkStream(em: EntityManager, nodeId: string): Promise<number> {
  const rows = await query<{ work_streams: string }>(
    em,
    `update node set work_streams = work_streams + 1 where node_id = $1
     returning work_streams::text`,
    [nodeId],
  );
  return Number(rows[0]?.work_streams ?? 0);
}

/** The number of the newest stream of each of these nodes. */
export async function readNewestStreams(
  em: EntityManager,
  nodeIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await query<{ node_id: string; work_streams: string }>(
    em,
    `select node_id, work_streams::text from node
      where node_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(nodeIds)],
  );
  return new Map(rows.map((row) => [row.node_id, Number(row.work_streams)]));
}

export interface AttemptNews {
  readonly attemptId: string;
  readonly state: 'leased' | 'acknowledged' | 'completed' | 'failed';
  readonly failure: string | null;
  readonly cancelRequested: boolean;
}

/** The node's attempts that hold a lease, and what became of the named ones. */
export async function readAttemptNews(
  em: EntityManager,
  { nodeId, attemptIds }: { nodeId: string; attemptIds: readonly string[] },
): Promise<readonly AttemptNews[]> {
  const rows = await query<{
    attempt_id: string;
    state: AttemptNews['state'];
    failure: string | null;
    cancel_requested: boolean;
  }>(
    em,
    `select a.attempt_id, a.state, a.failure, j.cancel_reason is not null as cancel_requested
       from attempt a join job j on j.job_id = a.job_id
      where a.node_id = $1 and a.attempt_id in (
        select attempt_id from attempt where node_id = $1 and state in ('leased', 'acknowledged')
        union select jsonb_array_elements_text($2::jsonb))`,
    [nodeId, JSON.stringify(attemptIds)],
  );
  return rows.map((row) => ({
    attemptId: row.attempt_id,
    state: row.state,
    failure: row.failure,
    cancelRequested: row.cancel_requested,
  }));
}
