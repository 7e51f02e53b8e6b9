import { defineEntity, p } from '@mikro-orm/core';

export const CertificateSchema = defineEntity({
  name: 'Certificate',
  tableName: 'certificate',
  indexes: [{ properties: ['holderRole', 'holderId'] }],
  properties: {
    /** Lower-case hex without leading zeros. */
    serial: p.text().primary(),
    holderRole: p.enum(['node', 'client', 'operator'] as const),
    holderId: p.text(),
    /** SHA-256 of the SubjectPublicKeyInfo. */
    keyId: p.blob(),
    /** DER. */
    certificate: p.blob(),
    issuedMs: p.bigint('number'),
    notAfterMs: p.bigint('number'),
    revokedMs: p.bigint('number').nullable().index(),
  },
});

export class Certificate extends CertificateSchema.class {}
CertificateSchema.setClass(Certificate);
