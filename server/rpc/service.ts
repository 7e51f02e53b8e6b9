// How a service of the contract is written: a typed function per RPC, proto in, proto out. What runs
// before it (authentication, access, limits, validation, error mapping) is the list of interceptors.
import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import type { FrameHandler } from './frames.ts';

/** Who calls, as the TLS connection proved it. */
export type Caller =
  | { readonly kind: 'anyone' }
  | ({ readonly kind: 'node'; readonly nodeId: string } & CertifiedCaller)
  | ({ readonly kind: 'client'; readonly clientId: string } & CertifiedCaller)
  | ({ readonly kind: 'operator'; readonly operatorId: string } & CertifiedCaller);

export interface CertifiedCaller {
  /** Serial number of the certificate, lower-case hex without leading zeros. */
  readonly serial: string;
  /** SHA-256 of the certificate's SubjectPublicKeyInfo, 32 bytes. */
  readonly keyId: Uint8Array;
  /** End of the certificate, Unix milliseconds. */
  readonly expiresAtMs: number;
  /** DER, leaf first, as presented on this connection, the root left off. */
  readonly chain: readonly Uint8Array[];
}

export type CallerOf<K extends Caller['kind']> = Extract<Caller, { kind: K }>;

/** What a handler knows of its call beside the request. */
export interface CallContext {
  readonly caller: Caller;
  /** The caller's `x-request-id` where it is a sane one, otherwise made here; in every log line. */
  readonly requestId: string;
  /** The peer's IP address. */
  readonly address: string;
  /** Aborted when the call ends: cancelled, cut, past its deadline, or the server stops. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

type Unary<M extends DescMethod> = (
  request: MessageShape<M['input']>,
  context: CallContext,
) => Promise<MessageInitShape<M['output']>>;
type ServerStreaming<M extends DescMethod> = (
  request: MessageShape<M['input']>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<M['output']>>;
type ClientStreaming<M extends DescMethod> = (
  requests: AsyncIterable<MessageShape<M['input']>>,
  context: CallContext,
) => Promise<MessageInitShape<M['output']>>;
type BiDiStreaming<M extends DescMethod> = (
  requests: AsyncIterable<MessageShape<M['input']>>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<M['output']>>;

export type Handler<M extends DescMethod> = M extends DescMethodUnary
  ? Unary<M>
  : M extends DescMethodServerStreaming
    ? ServerStreaming<M>
    : M extends DescMethodClientStreaming
      ? ClientStreaming<M>
      : M extends DescMethodBiDiStreaming
        ? BiDiStreaming<M>
        : never;

export type Handlers<S extends DescService> = {
  readonly [K in keyof S['method']]: Handler<S['method'][K]>;
};

export interface ServiceImplementation {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, unknown>>;
  /** Of methods on the hot path, served on the wire in their handlers' place. */
  readonly frames?: Readonly<Record<string, FrameHandler>>;
}

/** Binds handlers to their service; the types hold request, response and streaming kind together. */
export function implement<S extends DescService>(
  service: S,
  handlers: Handlers<S>,
  frames: { readonly [K in keyof S['method']]?: FrameHandler } = {},
): ServiceImplementation {
  return { service, handlers, frames: frames as Readonly<Record<string, FrameHandler>> };
}

/**
 * The caller, known to be of the given kind: the access option of the RPC admits no other.
 * Throws a plain Error (INTERNAL to the caller) where a contract and its handler disagree.
 */
export function callerOf<K extends Caller['kind']>(context: CallContext, kind: K): CallerOf<K> {
  if (context.caller.kind !== kind) {
    throw new Error(`handling a call of a ${kind}: the caller is '${context.caller.kind}'`);
  }
  return context.caller as CallerOf<K>;
}
