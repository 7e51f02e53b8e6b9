import { defineEntity, p } from '@mikro-orm/core';

/** A chain that bills refer to, once for all of them. */
export const CertificateChainSchema = defineEntity({
  name: 'CertificateChain',
  tableName: 'certificate_chain',
  properties: {
    /** SHA-256 of `certificates`. */
    chainDigest: p.blob().primary(),
    /** DER, leaf first, the root left off, each after its length. */
    certificates: p.blob(),
  },
});

export class CertificateChainRow extends CertificateChainSchema.class {}
CertificateChainSchema.setClass(CertificateChainRow);
