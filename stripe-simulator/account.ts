// What the simulator knows of one connected account: the switches that a real account has after its owner
// went through Stripe's onboarding, or did not.

export interface SimulatedAccount {
  /** `acct_...` */
  readonly id: string;
  /** What a person calls it; unique here, so that "the same owner again" is easy to say. */
  readonly name: string;
  readonly createdMs: number;
  readonly detailsSubmitted: boolean;
  readonly payoutsEnabled: boolean;
  readonly transfers: 'active' | 'inactive' | 'pending';
  /** Requirements whose date has passed, in Stripe's names, as `individual.verification.document`. */
  readonly pastDue: readonly string[];
  /** Its owner connected it to the platform; before that the platform sees nothing of it. */
  readonly connected: boolean;
}

/** The switches a person or a test sets. */
export type AccountSwitches = Pick<
  SimulatedAccount,
  'detailsSubmitted' | 'payoutsEnabled' | 'transfers' | 'pastDue'
>;

export const VERIFIED: AccountSwitches = {
  detailsSubmitted: true,
  payoutsEnabled: true,
  transfers: 'active',
  pastDue: [],
};

/** The account as `GET /v1/accounts/:id` answers it, in the fields that a platform reads. */
export function accountJson(account: SimulatedAccount): Record<string, unknown> {
  const disabledReason = account.pastDue.length > 0 ? 'requirements.past_due' : null;
  return {
    id: account.id,
    object: 'account',
    business_profile: { name: account.name },
    business_type: 'individual',
    capabilities: { transfers: account.transfers },
    charges_enabled: account.transfers === 'active',
    country: 'US',
    created: Math.floor(account.createdMs / 1_000),
    default_currency: 'usd',
    details_submitted: account.detailsSubmitted,
    metadata: {},
    payouts_enabled: account.payoutsEnabled,
    requirements: {
      alternatives: [],
      current_deadline: null,
      currently_due: [...account.pastDue],
      disabled_reason: disabledReason,
      errors: [],
      eventually_due: [...account.pastDue],
      past_due: [...account.pastDue],
      pending_verification: [],
    },
    type: 'standard',
  };
}
