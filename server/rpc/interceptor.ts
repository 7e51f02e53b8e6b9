// A concern of every call, between the wire and the handler. The list is in listener.ts, in the order in
// which they run.
import type { Message } from '@bufbuild/protobuf';
import type { Call } from './call.ts';

export interface Interceptor {
  /** On the call's headers. Throws an RpcError to refuse the call. */
  onCall?(call: Call): void | Promise<void>;
  /**
   * On each request message; null for a method that is served frame by frame, which judges what it reads
   * itself. Throws an RpcError to end the call.
   */
  onRequest?(call: Call, message: Message | null): void;
  /** When the call is over; `error` is null where it ended well or its caller left. */
  onEnd?(call: Call, error: unknown): void;
}

/** Resolves when every interceptor lets the call in; rejects with the RpcError of the first that does not. */
export async function admit(call: Call, interceptors: readonly Interceptor[]): Promise<void> {
  for (const interceptor of interceptors) {
    const waiting = interceptor.onCall?.(call);
    if (waiting !== undefined) await waiting;
  }
}
