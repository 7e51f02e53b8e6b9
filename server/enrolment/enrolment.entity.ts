import { defineEntity, p } from '@mikro-orm/core';

export const EnrolmentSchema = defineEntity({
  name: 'Enrolment',
  tableName: 'enrolment',
  properties: {
    /** SHA-256 of the state; who reads the table cannot use it. */
    stateDigest: p.blob().primary(),
    /** SHA-256 of the SubjectPublicKeyInfo that the state is bound to. */
    keyDigest: p.blob(),
    channel: p.enum(['loopback', 'return_code'] as const),
    expiresMs: p.bigint('number').index(),
    /** SHA-256 of the Stripe code that was exchanged, and the account it stood for. */
    stripeCodeDigest: p.blob().nullable(),
    accountId: p.text().nullable(),
    /** SHA-256 of the code that the return page showed last. */
    returnCodeDigest: p.blob().nullable(),
    /** The answer, once there is one, for whoever asks again with the same key and state. */
    nodeId: p.text().nullable(),
    certificate: p.blob().nullable(),
    issuerCertificate: p.blob().nullable(),
    certificateSerial: p.text().nullable(),
  },
});

export class Enrolment extends EnrolmentSchema.class {}
EnrolmentSchema.setClass(Enrolment);
