import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { missingRequirements } from '../../../server/stripe/account.ts';
import { connectStripe } from '../../../server/stripe/stripe.ts';

describe('a Stripe account', () => {
  it('is verified exactly when nothing is missing, and all that is missing is told at once', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.nat(3),
        (details, payouts, transfers, pastDueCount) => {
          const missing = missingRequirements({
            detailsSubmitted: details,
            payoutsEnabled: payouts,
            transfersActive: transfers,
            pastDueCount,
          });
          expect(missing).to.deep.equal([
            ...(details ? [] : ['details_submitted']),
            ...(payouts ? [] : ['payouts_enabled']),
            ...(transfers ? [] : ['transfers_capability']),
            ...(pastDueCount === 0 ? [] : ['past_due_requirements']),
          ]);
        },
      ),
    );
  });
});

describe('Stripe, to the control plane', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** A Stripe that answers everything in this way. */
  async function stripeThat(answer: Parameters<typeof createServer>[1], timeoutMs?: number) {
    const server = createServer(answer as never).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return stripeAt((server.address() as AddressInfo).port, timeoutMs);
  }
  const stripeAt = (port: number, timeoutMs = 10_000) =>
    connectStripe({
      secretKey: 'sk_test_x',
      clientId: 'ca_x',
      simulatorUrl: `http://127.0.0.1:${port}`,
      timeoutMs,
      maxRetries: 0,
    });
  const code = { code: 'ac_x', idempotencyKey: 'k' };
  const replying = (status: number, body: string) =>
    stripeThat((_, response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body);
    });

  it('is unavailable when nobody listens, nobody answers, or what comes is no answer', async () => {
    for (const stripe of [
      stripeAt(1),
      await stripeThat(() => {}, 50),
      await replying(200, '<html>'),
      await replying(503, '{"error":{"message":"down"}}'),
      await replying(429, '{"error":{"message":"slow down"}}'),
      await replying(401, '{"error":{"message":"bad key"}}'),
    ]) {
      expect((await stripe.exchangeCode(code)).kind).to.equal('unavailable');
      expect((await stripe.readAccount('acct_x')).kind).to.equal('unavailable');
    }
  });

  it('that names no account in its answer gave none', async () => {
    const stripe = await replying(200, '{}');
    expect((await stripe.exchangeCode(code)).kind).to.equal('unavailable');
  });

  it('that leaves the facts of an account away has not verified it', async () => {
    const stripe = await replying(200, '{"id":"acct_x","object":"account"}');
    expect(await stripe.readAccount('acct_x')).to.deep.equal({
      kind: 'unverified',
      missing: ['details_submitted', 'payouts_enabled', 'transfers_capability'],
    });
  });

  it('is asked for an account by the address that its documents name', () => {
    const stripe = connectStripe({ secretKey: 'sk_test_x', clientId: 'ca_x', simulatorUrl: null });
    const url = new URL(
      stripe.authorizeUrl({ state: 'a&b', redirectUri: 'https://gj.example/stripe/return' }),
    );
    expect(url.origin + url.pathname).to.equal('https://connect.stripe.com/oauth/authorize');
    expect(Object.fromEntries(url.searchParams)).to.deep.equal({
      response_type: 'code',
      client_id: 'ca_x',
      scope: 'read_write',
      redirect_uri: 'https://gj.example/stripe/return',
      state: 'a&b',
    });
  });
});
