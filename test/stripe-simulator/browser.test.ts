import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { type Browser, chromium, type Page } from 'playwright-core';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { whenAll } from '../all.ts';

whenAll('the Stripe simulator, to a person with a browser', () => {
  let simulator: StripeSimulator;
  let agent: Server;
  let browser: Browser;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    agent = createServer((_, response) => response.end('back at the agent')).listen(0, '127.0.0.1');
    await once(agent, 'listening');
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu'],
    });
  });
  after(async () => {
    await browser.close();
    agent.close();
    await simulator.stop();
  });

  async function open(state: string): Promise<Page> {
    const page = await browser.newPage();
    const url = new URL('/oauth/authorize', simulator.url);
    url.search = new URLSearchParams({
      client_id: 'ca_test',
      redirect_uri: `http://127.0.0.1:${(agent.address() as AddressInfo).port}/`,
      state,
    }).toString();
    await page.goto(url.href);
    return page;
  }

  it('connects a new account by name, and the browser arrives at the agent with code and state', async () => {
    const page = await open('by-mouse');
    await page.getByLabel('Name of the new account').fill('Grace');
    await page.getByLabel('Payouts enabled').uncheck();
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByText('back at the agent').waitFor();
    const back = new URL(page.url());
    expect(back.searchParams.get('state')).to.equal('by-mouse');
    expect(back.searchParams.get('code')).to.match(/^ac_/);
    const next = await open('again');
    expect(await next.getByLabel('Grace').count()).to.equal(1);
    expect(await next.getByText('not verified').count()).to.equal(1);
  });

  it('works by keyboard alone, and takes no for an answer', async () => {
    const page = await open('by-keyboard');
    await page.getByRole('button', { name: 'Cancel' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('back at the agent').waitFor();
    expect(new URL(page.url()).searchParams.get('error')).to.equal('access_denied');
  });

  it('names every field to a screen reader, and breaks no line on a small screen', async () => {
    const page = await open('small');
    await page.setViewportSize({ width: 320, height: 640 });
    const unnamed = await page
      .locator('input:not([type=hidden])')
      .evaluateAll(
        (inputs) =>
          inputs.filter(
            (input) => ((input as unknown as { labels: unknown[] }).labels ?? []).length === 0,
          ).length,
      );
    expect(unnamed).to.equal(0);
    expect(await page.getByRole('heading', { level: 1 }).count()).to.equal(1);
    const overflow = await page.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
    expect(overflow).to.equal(0);
  });
});
