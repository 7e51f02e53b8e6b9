// Bugs that are put in on purpose, to see that the simulation or a named test finds them. Each is a small
// edit of the source, of the kind that somebody could make by mistake.

export interface Edit {
  readonly file: string;
  /** Stands in the file once. */
  readonly find: string;
  readonly replace: string;
}

export type Finder =
  /** So many seeds from 1 on. */
  | { readonly kind: 'simulation'; readonly seeds: number }
  | { readonly kind: 'test'; readonly file: string };

export interface Mutant {
  /** What the code does wrong then. */
  readonly bug: string;
  readonly edits: readonly Edit[];
  readonly finder: Finder;
}

const SIMULATION: Finder = { kind: 'simulation', seeds: 50 };

export const MUTANTS: readonly Mutant[] = [
  {
    bug: 'the fencing check is skipped: an earlier attempt is paid for while a later one runs',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/receipt-check.ts',
        find: 'if (currentAttempt(job)?.attemptId === attemptId) return null;',
        replace: 'if (currentAttempt(job) !== null) return null;',
      },
      {
        file: 'server/jobs/jobs.ts',
        find: "if (attempt?.attemptId !== receipt.attemptId) return refused('ATTEMPT_STALE');",
        replace: "if (attempt === null) return refused('ATTEMPT_STALE');",
      },
    ],
  },
  {
    bug: 'a receipt is settled before its signature is checked',
    finder: { kind: 'test', file: 'test/server/placement/completion.test.ts' },
    edits: [
      {
        file: 'server/placement/receipt-check.ts',
        find: 'if (!signed.ok) throw receiptInvalid(signed.problem);',
        replace: 'if (!signed.ok) Object.assign(signed, { payload: envelope.payload });',
      },
    ],
  },
  {
    bug: "a beat's nonce is claimed before its MAC is checked: a forger burns the honest one's",
    finder: SIMULATION,
    edits: [
      {
        file: 'server/nodes/heartbeat-service.ts',
        find: "if (verdict.kind === 'refuse') return this.#refuse(stream, frame, verdict);",
        replace: `if (verdict.kind === 'refuse') {
      void claimNonce(nonces, stream.caller.nodeId, frame.nonce);
      return this.#refuse(stream, frame, verdict);
    }`,
      },
    ],
  },
  {
    bug: 'an acknowledgement counts that came too late',
    finder: { kind: 'test', file: 'test/server/jobs/jobs.test.ts' },
    edits: [
      {
        file: 'server/jobs/jobs.ts',
        find: "if (nowMs > attempt.acknowledgeByMs) return refused('TOO_LATE');",
        replace: '',
      },
    ],
  },
  {
    bug: 'the hold is not released when a job ends QUEUE_TIMEOUT',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/jobs/jobs.ts',
        find: "? endWithoutBill(job, { end: 'QUEUE_TIMEOUT', endDetail: '', endedMs: nowMs })",
        replace:
          "? { ...endWithoutBill(job, { end: 'QUEUE_TIMEOUT', endDetail: '', endedMs: nowMs }), released: false }",
      },
    ],
  },
  {
    bug: 'the end of a lease is announced before it is committed',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/leases.ts',
        find: 'return saveChanges(em, this.#blobs, changes);',
        replace: `this.announce(changes.map(({ outcome }) => outcome.job));
      return saveChanges(em, this.#blobs, changes);`,
      },
    ],
  },
  {
    bug: 'the seed is drawn for each attempt: two nodes give two results',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/work-order.ts',
        find: 'seed: terms.seed,',
        replace: "seed: Buffer.from(attempt.attemptId.padEnd(32, '0')),",
      },
    ],
  },
  {
    bug: "a lease ends by the replica's clock instead of the database's",
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/placement.ts',
        find: "newAttemptId: () => makeId('a', options.random),",
        replace: "newAttemptId: () => makeId('a', options.random),\n    wallMs: () => clock.now(),",
      },
      {
        file: 'server/placement/placer.ts',
        find: 'leaseEndMs: leaseEndMs(terms, { leasedMs: nowMs, transferGraceMs }),',
        replace:
          'leaseEndMs: leaseEndMs(terms, { leasedMs: this.#options.wallMs(), transferGraceMs }),',
      },
    ],
  },
  {
    bug: 'a receipt is taken from another node than the one that the order was given to',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/completion-store.ts',
        find: 'where job_id = (select job_id from attempt where task_id = $1 and node_id = $2) for update`,',
        replace:
          "where job_id = (select job_id from attempt where task_id = $1 and $2::text <> '') for update`,",
      },
    ],
  },
  {
    bug: "the newest stream's rule is dropped: a copy of a node beats beside it",
    finder: { kind: 'test', file: 'test/server/nodes/heartbeat.test.ts' },
    edits: [
      {
        file: 'server/nodes/heartbeat-service.ts',
        find: 'return claim !== null && !isSameStream(this.#deps.fleet.newestStream(caller.nodeId), claim);',
        replace: 'return claim !== null && caller === null;',
      },
    ],
  },
  {
    bug: 'a job is tried once more than it may be',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/jobs/jobs.ts',
        find: 'if (tries < maxAttempts && job.attempts.length < MAX_LEASES) return null;',
        replace: 'if (tries <= maxAttempts && job.attempts.length < MAX_LEASES) return null;',
      },
    ],
  },
  {
    bug: "the settlement's postings are written outside of its transaction",
    finder: SIMULATION,
    edits: [
      {
        file: 'server/placement/completion-store.ts',
        find: 'const settling = settleJob(em, moved);',
        replace: `payment.later((other) => settleJob(other, moved));
  const settling = Promise.resolve();`,
      },
      {
        file: 'server/placement/completion.ts',
        find: 'const paid = await payTask(em, blobs, {',
        replace: `const paid = await payTask(em, blobs, {
            later: (settle) => {
              this.settle = settle;
            },`,
      },
      {
        file: 'server/placement/completion.ts',
        find: 'const completed = await this.#write(request, nodeId);',
        replace: `const completed = await this.#write(request, nodeId);
    const { settle } = this;
    this.settle = undefined;
    if (settle !== undefined) await this.#options.store.transaction(settle);`,
      },
    ],
  },
  {
    bug: 'the rest of a hold goes to the platform instead of back to the client',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/ledger/ledger-store.ts',
        find: "('client_available', $3::text, h.microcents - $5::bigint),",
        replace: "('client_available', $3::text, 0::bigint),",
      },
      {
        file: 'server/ledger/ledger-store.ts',
        find: "('platform_revenue', '', $5::bigint - $6::bigint)) as l (account, holder_id, microcents)",
        replace:
          "('platform_revenue', '', h.microcents - $6::bigint + 0 * $5::bigint)) as l (account, holder_id, microcents)",
      },
    ],
  },
  {
    bug: 'an output that was acknowledged is not erased',
    finder: SIMULATION,
    edits: [
      {
        file: 'server/jobs/retention-store.ts',
        find: 'await blobs.giveUpLeft(em, left);',
        replace: 'if (left.length < 0) await blobs.giveUpLeft(em, left);',
      },
    ],
  },
  {
    bug: 'a node is lost by what one replica heard of it, whatever the others did',
    finder: { kind: 'test', file: 'test/server/placement/replicas.test.ts' },
    edits: [
      {
        file: 'server/placement/leases.ts',
        find: 'if (unlessHeard !== null && (await isHeard(em, unlessHeard))) return [];',
        replace: '',
      },
    ],
  },
];
