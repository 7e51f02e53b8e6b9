// gapjunction.billing.v1.EarningsService: a node's own money.
import { EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';
import { earningsOf } from '../ledger/ledger-store.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';

export function earningsService({ store }: { store: Store }): ServiceImplementation {
  return implement(EarningsService, {
    async getEarnings(_request, context) {
      const { nodeId } = callerOf(context, 'node');
      return store.read((em) => earningsOf(em, nodeId));
    },
  });
}
