// connectrpc's Transport over a simulated connection: what the agent's and the client's generated code
// calls.
import type { DescMessage, DescMethodStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import type { SimulatedConnection } from './connection.ts';
import type { Call } from './call.ts';

export function transportOver(connection: SimulatedConnection): Transport {
  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: ConstructorParameters<typeof Headers>[0],
      input: object,
    ) {
      const call = begin(connection, method, signal, header);
      call.request(input);
      call.endRequests();
      const first = await call.responses.next();
      if (first.done === true) throw new ConnectError('it has no answer', Code.Internal);
      return {
        stream: false,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: first.value,
      } as never;
    },

    async stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: ConstructorParameters<typeof Headers>[0],
      input: AsyncIterable<object>,
    ) {
      const call = begin(connection, method, signal, header);
      call.open();
      void sendAll(call, input);
      await call.accepted.promise;
      return {
        stream: true,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: call.responses,
      } as never;
    },
  };
}

function begin(
  connection: SimulatedConnection,
  method: DescMethodUnary | DescMethodStreaming,
  signal: AbortSignal | undefined,
  header: ConstructorParameters<typeof Headers>[0],
): Call {
  if (signal?.aborted === true) throw ConnectError.from(signal.reason, Code.Canceled);
  const call = connection.begin(method, new Headers(header));
  signal?.addEventListener('abort', () => call.cancel(signal.reason), { once: true });
  return call;
}

async function sendAll(call: Call, input: AsyncIterable<object>): Promise<void> {
  try {
    for await (const message of input) call.request(message);
    call.endRequests();
  } catch (cause) {
    call.cancel(cause);
  }
}
