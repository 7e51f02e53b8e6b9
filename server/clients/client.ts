// Clients and operators: people who hold a certificate of 90 days and a name that an operator chose.
import type { SetQuota } from './quota.ts';

/** What a certificate is asked for. */
export type CertificateSubject =
  | { readonly kind: 'new-client'; readonly name: string }
  | { readonly kind: 'client'; readonly clientId: string }
  | { readonly kind: 'new-operator'; readonly name: string };

/** Whose balance and quota are shown beside his name. */
export interface ClientOverview {
  readonly clientId: string;
  readonly name: string;
  readonly createdMs: number;
  readonly availableMicrocents: bigint;
  readonly heldMicrocents: bigint;
  /** What an operator set; null for nothing. */
  readonly quota: SetQuota | null;
}
