import { RpcError } from '../rpc/error.ts';
import type { CertificateChains } from '../bills/certificate-chains.ts';
import { nodeTopic, workTopic, type Announcements } from '../jobs/announcements.ts';
import { recordIntroduction } from '../nodes/node-store.ts';
import type { CallerOf } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { NodeTraits } from './assignment.ts';
import { takeOrdersToResend, type StoredOrder } from './lease-store.ts';
import { endOnStream, type Leases } from './leases.ts';
import type { OrderSender } from './order-sender.ts';
import { ACKNOWLEDGE_MS, type Placer } from './placer.ts';
import type { Progress } from './progress-store.ts';
import { WorkStream, type WorkStreams } from './work-stream.ts';
import { numberWorkStream, readAttemptNews, readNewestStreams } from './work-stream-store.ts';

export interface DispatchOptions {
  readonly store: Store;
  readonly chains: CertificateChains;
  readonly streams: WorkStreams;
  readonly sender: OrderSender;
  readonly placer: Placer;
  readonly leases: Leases;
  readonly acknowledgements: Acknowledgements;
  readonly announcements: Announcements;
  readonly onError: (doing: string, cause: unknown) => void;
}

/** What happens on Work streams. */
export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #unsubscribes = new Map<WorkStream, () => void>();

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Opens the node's stream, in place of its older one; sends again what may have been lost with that. */
  async open({ nodeId, keyId, chain }: CallerOf<'node'>): Promise<WorkStream> {
    const { chains, streams, announcements, leases } = this.#options;
    const stream = new WorkStream({ nodeId, keyId, chainDigest: await chains.keep(chain) });
    streams.add(stream)?.end(superseded(nodeId));
    leases.held.startAnew(nodeId);
    const stops = [
      announcements.subscribe(nodeTopic(nodeId), () => this.#background([stream], 'news')),
      announcements.subscribe(workTopic(nodeId), () => this.#background([stream], 'follow-up')),
    ];
    this.#unsubscribes.set(stream, () => {
      for (const stop of stops) stop();
    });
    this.#background([stream], 'begin');
    this.#background([stream], 'news');
    return stream;
  }

  close(stream: WorkStream): void {
    const { streams, announcements } = this.#options;
    this.#unsubscribes.get(stream)?.();
    this.#unsubscribes.delete(stream);
    streams.remove(stream);
    // Where the node has a newer stream, that one sends them again.
    if (stream.unacknowledged.length > 0) announcements.publish(workTopic(stream.node.nodeId));
  }

  /** The node says what it is; operators see that too. */
  introduce(stream: WorkStream, traits: NodeTraits): void {
    if (stream.introduce(traits)) this.#background([stream], 'introduction');
  }

  offer(stream: WorkStream, freeSlots: number): void {
    stream.offer(freeSlots);
    if (freeSlots > 0) this.#options.placer.wakeForSlots();
  }

  /** The node has the order; it is told to stop where that came too late, or the client cancelled. */
  async acknowledge(stream: WorkStream, attemptId: string): Promise<void> {
    const { acknowledgements, onError } = this.#options;
    const orderSignature = stream.settle(attemptId);
    stream.acknowledging.add(attemptId);
    try {
      const { nodeId } = stream.node;
      const verdict = await acknowledgements.add({ nodeId, attemptId, orderSignature });
      if (verdict.kind === 'stale' || verdict.cancelRequested) stream.cancel(attemptId);
    } catch (cause) {
      onError(`acknowledging the attempt '${attemptId}'`, cause);
    } finally {
      stream.acknowledging.delete(attemptId);
    }
  }

  /** Tells every connected node again which attempts to stop. */
  cancel(attempts: readonly { readonly nodeId: string; readonly attemptId: string }[]): void {
    for (const { nodeId, attemptId } of attempts) {
      this.#options.streams.of(nodeId)?.cancel(attemptId);
    }
  }

  /** Ends every stream: what is known of them is of another time. */
  endAll(cause: RpcError): void {
    for (const stream of this.#options.streams.all()) stream.end(cause);
  }

  /** What lost announcements would have told. */
  look(): void {
    const streams = this.#options.streams.all();
    this.#background(streams, 'follow-up');
    // The database was not there when they were opened, or introduced.
    this.#background(
      streams.filter(({ number }) => number === null),
      'begin',
    );
    this.#background(
      streams.filter(({ isIntroductionUnwritten }) => isIntroductionUnwritten),
      'introduction',
    );
  }

  /** Tells those of these nodes that are connected which of their attempts to stop, whoever ended them. */
  async tellNewsOf(attempts: readonly { readonly nodeId: string }[]): Promise<void> {
    const nodeIds = new Set(attempts.map(({ nodeId }) => nodeId));
    const streams = this.#options.streams.all().filter(({ node }) => nodeIds.has(node.nodeId));
    await Promise.all(streams.map((stream) => this.#tellNews(stream)));
  }

  /** Says how far guests are, as nodes said since the last time. */
  takeProgress(): readonly Progress[] {
    return this.#options.streams.all().flatMap((stream) =>
      [...stream.takeProgress()].map(([attemptId, fuel]) => ({
        nodeId: stream.node.nodeId,
        attemptId,
        fuel,
      })),
    );
  }

  #background(
    streams: readonly WorkStream[],
    what: 'begin' | 'introduction' | 'news' | 'follow-up',
  ): void {
    if (streams.length === 0) return;
    const doing = {
      begin: () => Promise.all(streams.map((stream) => this.#begin(stream))),
      introduction: () => Promise.all(streams.map((stream) => this.#writeIntroduction(stream))),
      news: () => Promise.all(streams.map((stream) => this.#tellNews(stream))),
      'follow-up': () => this.#followUp(streams),
    }[what]();
    doing.catch((cause: unknown) =>
      this.#options.onError(
        `bringing ${streams.length} Work streams up to date, '${streams[0]?.node.nodeId}', ... (${what})`,
        cause,
      ),
    );
  }

  /** Numbers the stream, and sends again what may have been lost with the one before. */
  async #begin(stream: WorkStream): Promise<void> {
    const { store, announcements } = this.#options;
    const { nodeId } = stream.node;
    const begun = await store.transaction(async (em) => {
      // A node that went away meanwhile may have opened a stream that is newer in fact.
      if (stream.hasEnded) return null;
      const number = await numberWorkStream(em, nodeId);
      return { number, orders: await takeOrdersToResend(em, this.#lostOrders(stream)) };
    });
    if (begun === null) return;
    // Before the number is known, so that this stream does not take it for news.
    announcements.publish(workTopic(nodeId));
    stream.number = begun.number;
    await this.#sendAgain(stream, begun.orders);
  }

  async #writeIntroduction(stream: WorkStream): Promise<void> {
    const { node, traits } = stream;
    await this.#options.store.transaction(async (em) => {
      // What a node says on its newer stream stays.
      if (!stream.hasEnded) await recordIntroduction(em, node.nodeId, traits);
    });
    stream.isIntroductionUnwritten = false;
  }

  /**
   * Ends those of the streams whose node has opened a newer one, here or at another replica. The newest are
   * sent what was placed on an older one after it was gone.
   */
  async #followUp(streams: readonly WorkStream[]): Promise<void> {
    const { store } = this.#options;
    const numbered = streams.filter(({ number }) => number !== null);
    if (numbered.length === 0) return;
    const nodeIds = numbered.map(({ node }) => node.nodeId);
    const newest = await store.read((em) => readNewestStreams(em, nodeIds));
    for (const stream of numbered) {
      const { nodeId } = stream.node;
      if ((stream.number ?? 0) < (newest.get(nodeId) ?? 0)) stream.end(superseded(nodeId));
    }
    // Many at once are looked at though nothing was announced: nothing was placed in vain either.
    const [only] = numbered;
    if (only === undefined || numbered.length > 1 || only.hasEnded) return;
    const orders = await store.transaction((em) => takeOrdersToResend(em, this.#lostOrders(only)));
    await this.#sendAgain(only, orders);
  }

  #lostOrders({ node: { nodeId, keyId }, unacknowledged, acknowledging }: WorkStream) {
    const onTheirWay = [...unacknowledged, ...acknowledging];
    return { nodeId, keyId, acknowledgeMs: ACKNOWLEDGE_MS, onTheirWay };
  }

  async #sendAgain(stream: WorkStream, orders: readonly StoredOrder[]): Promise<void> {
    for (const order of orders) {
      // Placed on this stream, or acknowledged, while the others were looked for.
      if (stream.unacknowledged.includes(order.attemptId)) continue;
      if (stream.acknowledging.has(order.attemptId)) continue;
      stream.take(order.attemptId);
      await this.#options.sender.send(stream, order);
    }
  }

  /** Tells the node which attempts to stop, whoever ended them. */
  async #tellNews(stream: WorkStream): Promise<void> {
    const { store, leases } = this.#options;
    const { nodeId } = stream.node;
    const attemptIds = [...leases.held.of(nodeId), ...stream.unacknowledged];
    const news = await store.read((em) => readAttemptNews(em, { nodeId, attemptIds }));
    for (const { attemptId, state, failure, cancelRequested } of news) {
      // One that is not acknowledged yet is cancelled when it is.
      if (state === 'acknowledged' && cancelRequested) stream.cancel(attemptId);
      if (state === 'failed') endOnStream(stream, attemptId, failure);
      if (state === 'completed') stream.settle(attemptId);
      if (state === 'failed' || state === 'completed') leases.held.remove({ nodeId, attemptId });
    }
  }
}

function superseded(nodeId: string): RpcError {
  return new RpcError('ABORTED', 'SUPERSEDED', `working for '${nodeId}': a newer stream took over`);
}
