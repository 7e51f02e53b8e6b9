import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { keyFingerprint } from '../../../protocol/identity/key-fingerprint.ts';
import { type HttpListener, startHttp } from '../../../server/http/listener.ts';
import { escapeHtml } from '../../../server/http/page.ts';
import { memoryLimiter } from '../../../server/rpc/limiter.ts';
import { enrolmentLimit } from '../../../server/rpc/limits.ts';
import { VERIFIED } from '../../../stripe-simulator/account.ts';
import { connectAccount } from '../../../stripe-simulator/visit.ts';
import { makeCsr, makeOwnerKey } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { IdentityWorld } from '../identity-world.ts';

const LOADS_A_MINUTE = 6;

describe('the return page', () => {
  let world: IdentityWorld;
  let http: HttpListener;
  before(async () => {
    world = await IdentityWorld.open({ loopbackRedirects: false });
    const { store, stripe } = world.enrolmentDeps;
    const limit = enrolmentLimit({
      newLimiter: memoryLimiter,
      perAddressPerSecond: 1,
      burstPerAddress: 1,
      perKeyPerMinute: LOADS_A_MINUTE,
    });
    const onError = () => {};
    http = await startHttp({
      host: '127.0.0.1',
      port: 0,
      store,
      stripe,
      randomBytes,
      limit,
      onError,
    });
    world.publicUrl = http.url;
  });
  after(async () => {
    await http.stop();
    await world.close();
  });

  const shown = (html: string, id: string) =>
    new RegExp(`id="${id}">([^<]*)<`).exec(html)?.[1] ?? '';
  const get = async (url: URL | string) => {
    const response = await fetch(url);
    return { response, html: await response.text() };
  };
  const returnCode = (value: string) => ({ case: 'returnCode', value }) as const;

  /** An enrolment whose owner has been to Stripe: the address that his browser is sent to. */
  async function connected(accountName: string) {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    return { key, state, back: await connectAccount(connectUrl, { accountName }) };
  }

  it('shows account, fingerprint and a code, with which the agent enrols', async () => {
    const { key, state, back } = await connected('Ada');
    expect(back.origin).to.equal(http.url);
    const { response, html } = await get(back);
    expect(response.status).to.equal(200);
    expect(shown(html, 'fingerprint')).to.equal(keyFingerprint(key.digest));
    expect(shown(html, 'account')).to.match(/^acct_/);
    const typed = ` ${shown(html, 'code').toUpperCase()} `;
    const csr = await makeCsr(key);
    const identity = await world.enrol({ csr, state, proof: returnCode(typed) });
    expect(identity.nodeId).to.match(/^n-/);
    const again = await world.enrol({ csr, state, proof: returnCode(typed) });
    expect(again.certificateChain).to.deep.equal(identity.certificateChain);
  });

  it('is kept by nobody, loads nothing, and fits in no frame', async () => {
    const { back } = await connected('Headers');
    const { headers } = (await get(back)).response;
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(headers.get('referrer-policy')).to.equal('no-referrer');
    expect(headers.get('content-security-policy'))
      .to.include("default-src 'none'")
      .and.include("frame-ancestors 'none'");
  });

  it('shows a fresh code when it is loaded again, and the older one is worth nothing', async () => {
    const { key, state, back } = await connected('Reload');
    const first = shown((await get(back)).html, 'code');
    const second = shown((await get(back)).html, 'code');
    expect(second).not.to.equal(first);
    const csr = await makeCsr(key);
    await expectRefusal(
      world.enrol({ csr, state, proof: returnCode(first) }),
      'FAILED_PRECONDITION',
      'CODE_UNKNOWN',
    );
    expect((await world.enrol({ csr, state, proof: returnCode(second) })).nodeId).to.match(/^n-/);
  });

  it('shows nothing to whoever has the state alone, as the one who started has', async () => {
    const { key, state, back } = await connected('Phished');
    await get(back);
    for (const code of ['', 'ac_guess', 'x'.repeat(513)]) {
      const url = new URL(back);
      url.searchParams.set('code', code);
      const { response, html } = await get(url);
      expect(response.status).to.equal(400);
      expect(shown(html, 'code')).to.equal('');
    }
    const csr = await makeCsr(key);
    for (const guess of ['', 'guess', '0'.repeat(32)]) {
      await expectRefusal(
        world.enrol({ csr, state, proof: returnCode(guess) }),
        'FAILED_PRECONDITION',
        'CODE_UNKNOWN',
      );
    }
    const stolen = { case: 'stripeCode', value: back.searchParams.get('code') ?? '' } as const;
    await expectRefusal(
      world.enrol({ csr, state, proof: stolen }),
      'FAILED_PRECONDITION',
      'CODE_UNKNOWN',
    );
  });

  it('says what to do when the account is not verified, and works once it is', async () => {
    const key = await makeOwnerKey();
    const { connectUrl } = await world.start(key);
    const switches = { ...VERIFIED, transfers: 'inactive' } as const;
    const back = await connectAccount(connectUrl, { accountName: 'Half', switches });
    const { response, html } = await get(back);
    expect(response.status).to.equal(403);
    expect(html).to.include('cannot receive transfers');
    await world.setAccount('Half', VERIFIED);
    expect((await get(back)).response.status).to.equal(200);
  });

  it('says so when the owner changed his mind, Stripe is down, or the time is over', async () => {
    const key = await makeOwnerKey();
    const { connectUrl } = await world.start(key);
    const denied = await connectAccount(connectUrl, { accountName: 'No', decision: 'deny' });
    expect((await get(denied)).html).to.include('You did not connect an account');
    const { back } = await connected('Down');
    await world.fault({ kind: 'down', path: '/oauth/token', times: 2 });
    const { response } = await get(back);
    expect(response.status).to.equal(503);
    expect((await get(back)).response.status).to.equal(200);
    const late = await connected('Late');
    const code = shown((await get(late.back)).html, 'code');
    await world.passTime(10 * 60_000);
    expect((await get(back)).html).to.include('10 minutes are over');
    const { state } = late;
    await expectRefusal(
      world.enrol({ csr: await makeCsr(late.key), state, proof: returnCode(code) }),
      'FAILED_PRECONDITION',
      'STATE_UNKNOWN',
    );
  });

  it('asks Stripe for one machine only so often: the platform has one limit for all', async () => {
    const { back } = await connected('Flood');
    const guess = (index: number) => {
      const url = new URL(back);
      url.searchParams.set('code', `ac_guess_${index}`);
      return get(url);
    };
    for (let index = 0; index < LOADS_A_MINUTE; index++) {
      expect((await guess(index)).response.status).to.equal(400);
    }
    const { response, html } = await guess(LOADS_A_MINUTE);
    expect(response.status).to.equal(429);
    expect(html).to.include('loaded too often');
    const other = await connected('Quiet');
    expect((await get(other.back)).response.status).to.equal(200);
  });

  it('writes out nothing that it was sent as anything but text', async () => {
    const url = new URL('/stripe/return', http.url);
    url.searchParams.set('state', '<script>alert(1)</script>');
    url.searchParams.set('code', '"><img src=x>');
    expect((await get(url)).html)
      .not.to.include('<script')
      .and.not.include('<img');
    expect(escapeHtml(`<&>"'`)).to.equal('&#60;&#38;&#62;&#34;&#39;');
  });

  it('is the only page, and can only be read', async () => {
    expect((await get(`${http.url}/`)).response.status).to.equal(404);
    expect(
      (await get(`${http.url}/stripe/return?state=${'x'.repeat(3_000)}`)).response.status,
    ).to.equal(414);
    const posted = await fetch(`${http.url}/stripe/return`, { method: 'POST', body: 'x' });
    expect(posted.status).to.equal(405);
  });
});
