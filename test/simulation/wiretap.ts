// What is seen on the wire of a simulation, and done to it.
import type { DescMethod, Message } from '@bufbuild/protobuf';
import type { Caller } from '../../server/rpc/service.ts';
import type { Process } from './process.ts';

/** One message of a call. */
export interface WireMessage {
  readonly method: DescMethod;
  readonly caller: Caller;
  /** One call, up and down. */
  readonly call: object;
  /** Rises with each call that a replica takes; 0 until then. */
  readonly callNumber: number;
  readonly direction: 'up' | 'down';
  readonly message: Message;
}

export interface Wiretap {
  /** Sees a message as it is sent. Answers what arrives: nothing, it, or more. */
  onSent(sent: WireMessage): readonly Message[];
  /** Rises with each call that a replica takes. */
  nextCallNumber(): number;
  /** Before a process sends, and after: where it may be killed. */
  beforeSend(sender: Process): void;
  afterSend(sender: Process): void;
  /** Whether the message's connection is cut while it is on its way. */
  isCut(): boolean;
}
