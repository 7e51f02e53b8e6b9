// Settlements are signed after they were written, since a signer may be a machine away and a transaction
// must not wait for it. The step can be repeated at any time: by Complete's retry, by the sweep, at start.
import { create } from '@bufbuild/protobuf';
import { EnvelopeSchema, type Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import {
  PAYLOAD_TYPE,
  preAuthenticationEncoding,
  type PayloadType,
} from '../../protocol/bill/envelope.ts';
import { sameBytes } from '../../protocol/bill/digest.ts';
import { jobTopic, type Announcements } from '../jobs/announcements.ts';
import type { Signer } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import {
  readBillsToSign,
  saveSignatures,
  type BillSignatures,
  type UnsignedBill,
} from './completion-store.ts';
import { GroupCommit } from '../store/group-commit.ts';

/** What Complete answers for a receipt that is paid. */
export interface SignedSettlement {
  readonly settlement: Envelope;
  /** Of its signer: DER, leaf first. */
  readonly settlementChain: Uint8Array[];
}

export class SettlementSigning {
  readonly #store: Store;
  readonly #signer: Signer;
  readonly #announcements: Announcements;
  readonly #commits: GroupCommit<BillSignatures, Uint8Array>;

  constructor(store: Store, signer: Signer, announcements: Announcements) {
    this.#store = store;
    this.#signer = signer;
    this.#announcements = announcements;
    this.#commits = new GroupCommit((batch) => this.#save(batch));
  }

  /**
   * Signs what of the bill is not signed, ends its job, and answers the settlement with the chain that it
   * was written for. Throws when the signer is gone.
   */
  async sign(bill: UnsignedBill): Promise<SignedSettlement> {
    const ownSignature =
      bill.settlementSignature ?? (await this.#sign(PAYLOAD_TYPE.settlement, bill.settlement));
    const orderSignature =
      bill.orderSignature === null ? await this.#sign(PAYLOAD_TYPE.workOrder, bill.order) : null;
    const signatures = { jobId: bill.jobId, settlementSignature: ownSignature, orderSignature };
    const isStored = bill.settlementSignature !== null && orderSignature === null;
    // Another replica may have signed at the same time: the signature that was stored first is the one.
    const signature = isStored ? ownSignature : await this.#commits.add(signatures);
    const settlement = create(EnvelopeSchema, {
      payloadType: PAYLOAD_TYPE.settlement,
      payload: bill.settlement.payload,
      signature,
      keyId: bill.settlement.keyId,
    });
    return { settlement, settlementChain: [...bill.settlementChain] };
  }

  /** Signs the settlement of one job, as far as it is not. */
  async signOf(jobId: string): Promise<SignedSettlement> {
    const bills = await this.#store.read((em) => readBillsToSign(em, [jobId]));
    if (bills[0] === undefined)
      throw new Error(`signing the settlement of '${jobId}': it has no bill`);
    return this.sign(bills[0]);
  }

  /** Signs everything that a crash or a lost signer left unsigned. */
  async signAll(): Promise<void> {
    const bills = await this.#store.read((em) => readBillsToSign(em, null));
    await Promise.all(bills.map((bill) => this.sign(bill)));
  }

  async #sign(
    payloadType: PayloadType,
    { payload, keyId }: { readonly payload: Uint8Array; readonly keyId: Uint8Array },
  ): Promise<Uint8Array> {
    if (!sameBytes(keyId, this.#signer.keyId)) {
      throw new Error(
        `signing a payload of type "${payloadType}": its key '${Buffer.from(keyId).toString('hex')}' is not the signer's`,
      );
    }
    return this.#signer.sign(preAuthenticationEncoding(payloadType, payload));
  }

  async #save(batch: readonly BillSignatures[]): Promise<readonly Uint8Array[]> {
    const { ended, stored } = await this.#store.transaction((em) => saveSignatures(em, batch));
    for (const jobId of ended) this.#announcements.publish(jobTopic(jobId));
    return batch.map(({ jobId, settlementSignature }) => stored.get(jobId) ?? settlementSignature);
  }
}
