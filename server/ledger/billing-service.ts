// gapjunction.billing.v1.BillingService: a client's own money.
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';
import { balanceOf } from './ledger-store.ts';

export function billingService({ store }: { store: Store }): ServiceImplementation {
  return implement(BillingService, {
    async getBalance(_request, context) {
      const { clientId } = callerOf(context, 'client');
      return store.read((em) => balanceOf(em, clientId));
    },
  });
}
