// A node that speaks DispatchService and runs nothing: a test says what it offers, acknowledges and hands
// in, honest or not. It works over the wire and on handlers alike.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  JobEnd,
  type Envelope,
  type EnvelopeSchema,
  type Receipt,
  type WorkOrder,
} from '#gen/gapjunction/job/v1/bill_pb';
import {
  CompleteRequestSchema,
  WorkRequestSchema,
  type CompleteRequest,
  type CompleteResponse,
  type CompleteResponseSchema,
  type IntroductionSchema,
  type OrderSchema,
  type WorkRequest,
  type WorkResponseSchema,
} from '#gen/gapjunction/node/v1/dispatch_pb';
import { digest, DIGEST_OF_NOTHING } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, signEnvelope, type Signer } from '../../protocol/bill/envelope.ts';
import { encodeReceipt } from '../../protocol/bill/receipt.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';

/** DispatchService as a node sees it: a client of it, or its handlers in the node's name. */
export interface DispatchCalls {
  work(
    requests: AsyncIterable<WorkRequest>,
  ): AsyncIterable<MessageInitShape<typeof WorkResponseSchema>>;
  complete(
    request: CompleteRequest,
  ): Promise<CompleteResponse | MessageInitShape<typeof CompleteResponseSchema>>;
}

export interface ReceivedOrder {
  readonly order: WorkOrder;
  readonly envelope: Envelope | MessageInitShape<typeof EnvelopeSchema>;
  readonly taskId: Uint8Array;
  readonly inlineInput: Uint8Array | undefined;
  readonly requestId: string;
}

export type ReceiptChanges = Partial<Omit<Receipt, '$typeName' | '$unknown' | 'output'>> & {
  readonly output?: { readonly digest: Uint8Array; readonly sizeBytes: bigint };
};

export class ScriptedNode {
  readonly #calls: DispatchCalls;
  readonly #signer: Signer;
  readonly #outbox: WorkRequest[] = [];
  readonly #orders = new Mailbox<ReceivedOrder>();
  readonly #cancels = new Mailbox<string>();
  #wakeSender: (() => void) | null = null;
  #isOpen = false;
  #introduction: MessageInitShape<typeof IntroductionSchema> | null = null;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(calls: DispatchCalls, signer: Signer) {
    this.#calls = calls;
    this.#signer = signer;
  }

  /** Opens a Work stream and offers slots. */
  connect(freeSlots: number): void {
    this.#isOpen = true;
    this.#outbox.length = 0;
    if (this.#introduction !== null) this.introduce(this.#introduction);
    this.offer(freeSlots);
    this.#reading = this.#read();
  }

  /** Ends the stream from this side. */
  async disconnect(): Promise<void> {
    this.#isOpen = false;
    this.#wakeSender?.();
    await this.#reading;
  }

  /** How the stream ended: undefined, or the error. */
  ended(): Promise<unknown> {
    return this.#reading;
  }

  /** What it says of itself on each stream that it opens, and at once where one is open. */
  introduce(introduction: MessageInitShape<typeof IntroductionSchema>): void {
    this.#introduction = introduction;
    if (this.#isOpen) this.#send({ kind: { case: 'introduction', value: introduction } });
  }

  /** Says how far the guest of an attempt is. */
  progress({ order: { attemptId } }: Pick<ReceivedOrder, 'order'>, fuel: bigint): void {
    this.#send({ kind: { case: 'progress', value: { attemptId, fuel } } });
  }

  offer(freeSlots: number): void {
    this.#send({ kind: { case: 'offer', value: { freeSlots } } });
  }

  nextOrder(): Promise<ReceivedOrder> {
    return this.#orders.next();
  }

  /** Orders that came and were not taken yet. */
  get waitingOrders(): number {
    return this.#orders.size;
  }

  /** The attempt that is to be stopped. */
  nextCancel(): Promise<string> {
    return this.#cancels.next();
  }

  acknowledge({ order: { attemptId } }: Pick<ReceivedOrder, 'order'>): void {
    this.#send({ kind: { case: 'acknowledgement', value: { attemptId } } });
  }

  /** A receipt for the order, signed; a clean success with 1,000 fuel but for the changes. */
  async receipt(
    { order, taskId }: ReceivedOrder,
    changes: ReceiptChanges = {},
    signer: Signer = this.#signer,
  ): Promise<Envelope> {
    const payload = encodeReceipt({
      taskId,
      end: JobEnd.SUCCEEDED,
      endDetail: '',
      fuel: 1_000n,
      output: { digest: DIGEST_OF_NOTHING, sizeBytes: 0n },
      logDigest: DIGEST_OF_NOTHING,
      sleptNs: 0n,
      peakMemoryPages: 1,
      startedMs: order.notBeforeMs + 120_000n,
      finishedMs: order.notBeforeMs + 120_010n,
      engine: 'scripted',
      engineVersion: '1',
      profile: order.profile,
      ...changes,
    });
    return signEnvelope({ payloadType: PAYLOAD_TYPE.receipt, payload, signer });
  }

  /** Hands a receipt in, as it is. Answers the settlement, undefined where it is not paid. */
  async handIn(
    task: Pick<ReceivedOrder, 'taskId'>,
    receipt: Envelope,
    inlineOutput?: Uint8Array,
  ): Promise<MessageInitShape<typeof EnvelopeSchema> | undefined> {
    return (await this.answerTo(task, receipt, inlineOutput)).settlement;
  }

  /** Hands a receipt in; the settlement with its signer's chain. */
  answerTo(
    { taskId }: Pick<ReceivedOrder, 'taskId'>,
    receipt: Envelope,
    inlineOutput?: Uint8Array,
  ): ReturnType<DispatchCalls['complete']> {
    return this.#calls.complete(
      create(CompleteRequestSchema, {
        taskId,
        receipt,
        ...(inlineOutput !== undefined && { inlineOutput }),
      }),
    );
  }

  /** Completes the order with this output. Answers the settlement, undefined where it is not paid. */
  async complete(
    received: ReceivedOrder,
    { output, ...changes }: Omit<ReceiptChanges, 'output'> & { readonly output?: Uint8Array } = {},
  ): Promise<MessageInitShape<typeof EnvelopeSchema> | undefined> {
    const receipt = await this.receipt(received, {
      ...(output !== undefined && {
        output: { digest: digest(output), sizeBytes: BigInt(output.length) },
      }),
      ...changes,
    });
    return this.handIn(received, receipt, output);
  }

  /** Takes orders one after another until the stream ends: acknowledges, and does what `run` says. */
  async serve(slots: number, run: (received: ReceivedOrder) => Promise<unknown>): Promise<void> {
    let busy = 0;
    const running = new Set<Promise<unknown>>();
    while (this.#isOpen) {
      const received = await this.nextOrder();
      this.acknowledge(received);
      busy++;
      const task = run(received).finally(() => {
        running.delete(task);
        busy--;
        this.offer(slots - busy);
      });
      running.add(task);
    }
  }

  #send(message: MessageInitShape<typeof WorkRequestSchema>): void {
    this.#outbox.push(create(WorkRequestSchema, message));
    this.#wakeSender?.();
  }

  async *#requests(): AsyncGenerator<WorkRequest> {
    while (this.#isOpen) {
      const message = this.#outbox.shift();
      if (message !== undefined) yield message;
      else await new Promise<void>((resolve) => (this.#wakeSender = resolve));
    }
  }

  async #read(): Promise<unknown> {
    try {
      for await (const { kind } of this.#calls.work(this.#requests())) {
        if (kind?.case === 'order') this.#orders.put(receivedOrder(kind.value));
        if (kind?.case === 'cancel') this.#cancels.put(kind.value.attemptId ?? '');
      }
      return undefined;
    } catch (cause) {
      return cause;
    } finally {
      this.#isOpen = false;
      this.#wakeSender?.();
    }
  }
}

function receivedOrder({
  envelope,
  inlineInput,
  requestId = '',
}: MessageInitShape<typeof OrderSchema>): ReceivedOrder {
  const payload = envelope?.payload;
  if (envelope === undefined || payload === undefined)
    throw new Error('an order came without payload');
  return {
    order: decodeWorkOrder(payload),
    envelope,
    taskId: taskIdOf(payload),
    inlineInput,
    requestId,
  };
}

/** What comes, in order, for those who wait for it. */
class Mailbox<Item> {
  readonly #items: Item[] = [];
  readonly #waiting: ((item: Item) => void)[] = [];

  get size(): number {
    return this.#items.length;
  }

  put(item: Item): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#items.push(item);
    else waiter(item);
  }

  next(): Promise<Item> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
