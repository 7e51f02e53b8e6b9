import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Stripe } from 'stripe';
import { VERIFIED } from '../../stripe-simulator/account.ts';
import { MAX_NAME_CHARACTERS } from '../../stripe-simulator/authorize.ts';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';

describe('the Stripe simulator, to the real client', () => {
  let simulator: StripeSimulator;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
  });
  after(() => simulator.stop());

  const clientOf = ({ url }: StripeSimulator, key = 'sk_test_simulator') => {
    const { hostname: host, port } = new URL(url);
    const options = {
      host,
      port,
      protocol: 'http',
      telemetry: false,
      maxNetworkRetries: 0,
    } as const;
    return new Stripe(key, options);
  };
  const connectUrl = (redirectUri = 'http://127.0.0.1:9/back') => {
    const url = new URL('/oauth/authorize', simulator.url);
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: 'ca_test',
      redirect_uri: redirectUri,
      state: 'a state & more',
    }).toString();
    return url.href;
  };
  const codeFor = async (accountName: string) =>
    (await connectAccount(connectUrl(), { accountName })).searchParams.get('code') ?? '';
  const exchange = (code: string, idempotencyKey?: string) =>
    clientOf(simulator).oauth.token(
      { grant_type: 'authorization_code', code },
      idempotencyKey === undefined ? {} : { idempotencyKey },
    );
  const failure = async (call: Promise<unknown>) =>
    call.then(
      () => null,
      (cause: unknown) => cause as Stripe.errors.StripeError,
    );
  const order = async (fault: Readonly<Record<string, unknown>>) =>
    fetch(`${simulator.url}/simulator/faults`, { method: 'POST', body: JSON.stringify(fault) });

  it('sends the browser back with code and state, and exchanges the code for the account', async () => {
    const back = await connectAccount(connectUrl(), { accountName: 'Ada' });
    expect(back.href.startsWith('http://127.0.0.1:9/back?')).to.equal(true);
    expect(back.searchParams.get('state')).to.equal('a state & more');
    const token = await exchange(back.searchParams.get('code') ?? '');
    expect(token).to.include({ token_type: 'bearer', livemode: false, scope: 'read_write' });
    const account = await clientOf(simulator).accounts.retrieve(token.stripe_user_id ?? '');
    expect(account).to.include({
      object: 'account',
      details_submitted: true,
      payouts_enabled: true,
    });
    expect(account.capabilities?.transfers).to.equal('active');
    expect(account.requirements?.past_due).to.deep.equal([]);
    expect(account.lastResponse.requestId).to.match(/^req_/);
  });

  it('gives the same owner the same account again', async () => {
    const [one, two] = [await exchange(await codeFor('Bo')), await exchange(await codeFor('Bo'))];
    expect(one.stripe_user_id).to.equal(two.stripe_user_id);
  });

  it('says that a code was used, was never given, or is refused by its owner', async () => {
    const code = await codeFor('Cy');
    await exchange(code);
    expect(await failure(exchange(code)))
      .to.be.instanceOf(Stripe.errors.StripeInvalidGrantError)
      .with.property('message')
      .that.includes('already been used');
    expect(await failure(exchange('ac_none')))
      .to.be.instanceOf(Stripe.errors.StripeInvalidGrantError)
      .with.property('message')
      .that.includes('does not exist');
    const denied = await connectAccount(connectUrl(), { accountName: 'Cy', decision: 'deny' });
    expect(denied.searchParams.get('error')).to.equal('access_denied');
    expect(denied.searchParams.has('code')).to.equal(false);
  });

  it('answers a repeated call under one key as the first, and another call under it with an error', async () => {
    const code = await codeFor('Di');
    const first = await exchange(code, 'key-1');
    const again = await exchange(code, 'key-1');
    expect(again.stripe_user_id).to.equal(first.stripe_user_id);
    expect(again.access_token).to.equal(first.access_token);
    const other = await failure(
      clientOf(simulator).accounts.create({}, { idempotencyKey: 'key-2' }),
    );
    expect(other).to.equal(null);
    const changed = clientOf(simulator).accounts.create(
      { type: 'express' },
      { idempotencyKey: 'key-2' },
    );
    expect(await failure(changed)).to.be.instanceOf(Stripe.errors.StripeIdempotencyError);
  });

  it('shows a platform no account that did not connect to it, and no one without a test key', async () => {
    await fetch(`${simulator.url}/simulator/accounts`, {
      method: 'POST',
      body: JSON.stringify({ name: 'Stranger' }),
    });
    const all = (await (await fetch(`${simulator.url}/simulator/accounts`)).json()) as {
      accounts: { id: string; name: string }[];
    };
    const stranger = all.accounts.find(({ name }) => name === 'Stranger')?.id ?? '';
    const { accounts } = clientOf(simulator);
    expect(await failure(accounts.retrieve(stranger))).to.include({
      code: 'account_invalid',
      statusCode: 403,
    });
    for (const key of ['sk_live_secret', 'nonsense']) {
      const refused = await failure(clientOf(simulator, key).accounts.retrieve(stranger));
      expect(refused).to.be.instanceOf(Stripe.errors.StripeAuthenticationError);
    }
  });

  it('fails as often as it was told to and in the way it was told to', async () => {
    const token = await exchange(await codeFor('Ed'));
    const read = () => clientOf(simulator).accounts.retrieve(token.stripe_user_id ?? '');
    await order({ kind: 'down', path: '/v1/accounts', times: 2 });
    expect(await failure(read())).to.have.property('statusCode', 500);
    expect(await failure(read())).to.have.property('statusCode', 500);
    expect(await failure(read())).to.equal(null);
    // The client repeats a call whose connection was cut, whatever its settings say.
    await order({ kind: 'reset', path: '/v1/accounts', times: 2 });
    expect(await failure(read())).to.be.instanceOf(Stripe.errors.StripeConnectionError);
    await order({ kind: 'slow', path: '/v1/accounts', delayMs: 5 });
    expect(await failure(read())).to.equal(null);
    for (const wrong of [
      {},
      { kind: 'fire' },
      { kind: 'down', times: 0 },
      { kind: 'down', path: 'x' },
      { kind: 'slow', delayMs: 1e9 },
    ]) {
      expect((await order(wrong)).status).to.equal(400);
    }
  });

  it('asks nobody to go to an address that is none, for an application that is none', async () => {
    for (const [name, value] of [
      ['redirect_uri', 'javascript:alert(1)'],
      ['redirect_uri', 'not an address'],
      ['client_id', '<b>'],
      ['response_type', 'token'],
    ] as const) {
      const url = new URL(connectUrl());
      url.searchParams.set(name, value);
      const response = await fetch(url);
      const html = await response.text();
      expect(response.status).to.equal(400);
      expect(html).to.include('role="alert"').and.not.include('<b>');
    }
  });

  it('remembers accounts and codes in its file, as after a restart of the machine', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gj-simulator-'));
    const stateFile = join(folder, 'state.json');
    const first = await startStripeSimulator({ port: 0, stateFile });
    const url = connectUrl().replace(simulator.url, first.url);
    const back = await connectAccount(url, {
      accountName: 'Flo',
      switches: { ...VERIFIED, payoutsEnabled: false },
    });
    await first.stop();
    const second = await startStripeSimulator({ port: 0, stateFile });
    const code = back.searchParams.get('code') ?? '';
    const token = await clientOf(second).oauth.token({ grant_type: 'authorization_code', code });
    const account = await clientOf(second).accounts.retrieve(token.stripe_user_id ?? '');
    expect(account).to.include({ payouts_enabled: false, details_submitted: true });
    await second.stop();
    rmSync(folder, { recursive: true });
  });

  it('takes no account name without end', async () => {
    const accountName = 'x'.repeat(MAX_NAME_CHARACTERS + 1);
    const visit = connectAccount(connectUrl(), { accountName });
    expect((await failure(visit))?.message).to.include('needs a name');
  });

  it('takes no body without end', async () => {
    const response = await fetch(`${simulator.url}/oauth/token`, {
      method: 'POST',
      body: 'x'.repeat(70_000),
    });
    expect(response.status).to.equal(413);
  });
});
