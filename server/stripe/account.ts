// When a Stripe account counts as verified: it can be identified and it can be paid.

/** What an account lacks, in the words that `missing` of ACCOUNT_UNVERIFIED uses. */
export type MissingRequirement =
  | 'details_submitted'
  | 'payouts_enabled'
  | 'transfers_capability'
  | 'past_due_requirements';

/** The facts of an account that decide, as Stripe tells them. */
export interface AccountFacts {
  readonly detailsSubmitted: boolean;
  readonly payoutsEnabled: boolean;
  /** The `transfers` capability is active. */
  readonly transfersActive: boolean;
  /** Requirements whose date has passed. */
  readonly pastDueCount: number;
}

/** Everything the account lacks, all of it at once; empty for a verified account. */
export function missingRequirements(facts: AccountFacts): MissingRequirement[] {
  const missing: MissingRequirement[] = [];
  if (!facts.detailsSubmitted) missing.push('details_submitted');
  if (!facts.payoutsEnabled) missing.push('payouts_enabled');
  if (!facts.transfersActive) missing.push('transfers_capability');
  if (facts.pastDueCount > 0) missing.push('past_due_requirements');
  return missing;
}
