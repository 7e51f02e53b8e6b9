import { defineEntity, p } from '@mikro-orm/core';

export const NodeSchema = defineEntity({
  name: 'Node',
  tableName: 'node',
  indexes: [{ properties: ['enrolledMs', 'nodeId'] }],
  checks: [
    {
      name: 'node_lost_period_ms_check',
      expression: '(last_beat_ms is null) = (lost_period_ms is null)',
    },
  ],
  properties: {
    /** `n-...`, for ever the same for one account. */
    nodeId: p.text().primary(),
    /** Stripe's `acct_...`. */
    accountId: p.text().unique(),
    standing: p.enum(['enrolled', 'cordoned', 'draining', 'revoked'] as const),
    enrolledMs: p.bigint('number'),
    /** Renews since it enrolled, last. */
    renewalCounter: p.bigint('bigint'),
    /** SHA-256 of the newest certificate's SubjectPublicKeyInfo. */
    keyId: p.blob(),
    /** The newest certificate and its issuer, DER: the answer to a repeated Renew. */
    certificate: p.blob(),
    issuerCertificate: p.blob(),
    certificateSerial: p.text(),
    certificateNotAfterMs: p.bigint('number'),
    /** Of the last accepted beat; written in batches, up to 2 s late. */
    lastBeatMs: p.bigint('number').nullable(),
    /** Since when it is lost; unset while it is live, and for one that never beat. */
    lostMs: p.bigint('number').nullable(),
    /** How long it may be silent, as its last accepted beat granted; unset for one that never beat. */
    lostPeriodMs: p.bigint('number').nullable(),
    /** The heartbeat stream whose first beat was accepted last, and the time in that beat. */
    newestStreamId: p.blob().nullable(),
    newestStreamFirstBeatMs: p.bigint('number').nullable(),
    /** Rises with each change of standing, newest stream, or between live and lost; `changedMs` is when. */
    revision: p.bigint('number'),
    changedMs: p.bigint('number').index(),
    slots: p.integer(),
    agentVersion: p.text(),
    engineVersion: p.text(),
    residentMemoryBytes: p.bigint('bigint'),
    fuelSinceStart: p.bigint('bigint'),
    /** What the owner says of the machine; nobody checks it. */
    labels: p.json<Record<string, string>>(),
    /** As its agent last introduced itself. */
    isolationLevel: p.enum(['PROCESS', 'NAMESPACES'] as const),
    /** Work streams that it opened, at any replica: the number of the newest. */
    workStreams: p.bigint('number'),
  },
});

export class Node extends NodeSchema.class {}
NodeSchema.setClass(Node);
