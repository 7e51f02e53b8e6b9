import { PAYLOAD_TYPE, signEnvelope } from '../../protocol/bill/envelope.ts';
import { sameBytes } from '../../protocol/bill/digest.ts';
import type { Signer } from '../secrets/secrets.ts';
import type { WorkStream } from './work-stream.ts';

/** An input of at most so many bytes travels in the order: a round trip less for most jobs. */
export const MAX_INLINE_INPUT_BYTES = 65_536;

export interface OrderToSend {
  readonly attemptId: string;
  readonly payload: Uint8Array;
  /** The key that the payload is to be signed under. */
  readonly keyId: Uint8Array;
  readonly inputDigest: Uint8Array;
  readonly inputBytes: bigint;
  /** The `x-request-id` of the call that submitted the job. */
  readonly requestId: string;
}

/** Signs orders and puts them on their node's stream. */
export class OrderSender {
  readonly #signer: Signer;
  readonly #readInput: (digest: Uint8Array, maxBytes: number) => Promise<Uint8Array>;

  constructor(
    signer: Signer,
    readInput: (digest: Uint8Array, maxBytes: number) => Promise<Uint8Array>,
  ) {
    this.#signer = signer;
    this.#readInput = readInput;
  }

  /** Throws when the signer or the blobs are gone; the order is then fenced as not acknowledged. */
  async send(stream: WorkStream, order: OrderToSend): Promise<void> {
    if (!sameBytes(order.keyId, this.#signer.keyId)) {
      throw new Error(
        `signing the order of '${order.attemptId}': its key is not the signer's any more`,
      );
    }
    const [envelope, inlineInput] = await Promise.all([
      signEnvelope({
        payloadType: PAYLOAD_TYPE.workOrder,
        payload: order.payload,
        signer: { keyId: this.#signer.keyId, sign: (message) => this.#signer.sign(message) },
      }),
      this.#inlineInput(order),
    ]);
    stream.sendOrder(order.attemptId, envelope.signature, {
      kind: {
        case: 'order',
        value: {
          envelope,
          signerChain: [...this.#signer.chain],
          requestId: order.requestId,
          ...inlineInput,
        },
      },
    });
  }

  async #inlineInput({
    inputDigest,
    inputBytes,
  }: OrderToSend): Promise<{ inlineInput?: Uint8Array }> {
    if (inputBytes === 0n) return { inlineInput: new Uint8Array() };
    if (inputBytes > BigInt(MAX_INLINE_INPUT_BYTES)) return {};
    return { inlineInput: await this.#readInput(inputDigest, MAX_INLINE_INPUT_BYTES) };
  }
}
