import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Entry,
  Grant,
  WorkOrderSchema,
  type BlobRef,
  type Limits,
  type Price,
  type WorkOrder,
} from '#gen/gapjunction/job/v1/bill_pb';
import {
  requireThat,
  requireDigest,
  requireId,
  requirePresent,
  requireText,
} from './check-fields.ts';
import { MAX_AMOUNT_MICROCENTS, MAX_SHARE_BASIS_POINTS, type PriceRates } from './price.ts';
import { decodeStrictly } from './strict-decode.ts';

/** How long before it was made an order is valid: clocks of two machines may be a minute apart. */
export const NOT_BEFORE_MARGIN_MS = 120_000n;

/** A work order with all of its parts there. */
export type CheckedWorkOrder = WorkOrder & {
  readonly module: BlobRef;
  readonly input: BlobRef;
  readonly limits: Limits;
  readonly price: Price;
};

/**
 * The bytes of an order, to be signed and stored as they are: made once and never again, since two
 * encoders may differ. Throws MalformedPayload for an order that `decodeWorkOrder` would refuse.
 */
export function encodeWorkOrder(order: MessageInitShape<typeof WorkOrderSchema>): Uint8Array {
  const payload = toBinary(WorkOrderSchema, create(WorkOrderSchema, order));
  decodeWorkOrder(payload);
  return payload;
}

/**
 * The order in these bytes, whose signature was checked before. Throws MalformedPayload, with the field's
 * name, unless every field has its form: ids, digests of 32 bytes, known entry and grants, limits above
 * 0, a price within its bounds.
 */
export function decodeWorkOrder(payload: Uint8Array): CheckedWorkOrder {
  const order = decodeStrictly(WorkOrderSchema, payload);
  requireId('j', order.jobId, 'job_id');
  requireId('a', order.attemptId, 'attempt_id');
  requireId('n', order.nodeId, 'node_id');
  requireDigest(order.nodeKeyId, 'node_key_id');
  requireDigest(order.isolationKey, 'isolation_key');
  const module = requirePresent(order.module, 'module');
  requireDigest(module.digest, 'module.digest');
  requireThat(module.sizeBytes > 0n, 'module.size_bytes', 'is 0');
  const input = requirePresent(order.input, 'input');
  requireDigest(input.digest, 'input.digest');
  requireThat(order.entry === Entry.START || order.entry === Entry.RUN, 'entry', 'is not known');
  for (const grant of order.grants) {
    requireThat(
      grant === Grant.STDOUT_AS_RESULT || grant === Grant.DEBUG_LOGS,
      'grants',
      'has one that is not known',
    );
  }
  requireThat(new Set(order.grants).size === order.grants.length, 'grants', 'has one twice');
  const limits = requirePresent(order.limits, 'limits');
  requireThat(limits.fuel > 0n, 'limits.fuel', 'is 0');
  requireThat(limits.deadlineEpochs > 0, 'limits.deadline_epochs', 'is 0');
  requireThat(limits.memoryBytes > 0n, 'limits.memory_bytes', 'is 0');
  requireThat(order.profile !== '', 'profile', 'is empty');
  requireText(order.profile, 'profile');
  requireDigest(order.profileDigest, 'profile_digest');
  const price = requirePresent(order.price, 'price');
  requirePrice(price);
  requireDigest(order.seed, 'seed');
  requireThat(order.notBeforeMs < order.expiresMs, 'expires_ms', 'is not after not_before_ms');
  return Object.assign(order, { module, input, limits, price });
}

/** Throws MalformedPayload unless every rate can be charged. */
export function requirePrice(price: PriceRates): void {
  const amounts = [
    price.baseMicrocents,
    price.perMibModuleMicrocents,
    price.perMibIoMicrocents,
    price.perMillionFuelMicrocents,
  ];
  for (const amount of amounts) {
    requireThat(
      amount <= MAX_AMOUNT_MICROCENTS,
      'price',
      `has a rate of ${amount}, too large to charge`,
    );
  }
  requireThat(
    price.shareBasisPoints <= MAX_SHARE_BASIS_POINTS,
    'price.share_basis_points',
    'is more than the whole',
  );
}
