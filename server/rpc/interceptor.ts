// A concern of every call, between the wire and the handler. The list is in listener.ts, in the order in
// which they run.
import type { Message } from '@bufbuild/protobuf';
import type { Call } from './call.ts';

export interface Interceptor {
  /** On the call's headers. Throws an RpcError to refuse the call. */
  onCall?(call: Call): void | Promise<void>;
  /** On each request message. Throws an RpcError to end the call. */
  onRequest?(call: Call, message: Message): void;
  /** When the call is over; `error` is null where it ended well or its caller left. */
  onEnd?(call: Call, error: unknown): void;
}
