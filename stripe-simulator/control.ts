// /simulator/: what Stripe does not have, a way for tests to look inside, turn switches and order faults.

import { VERIFIED, type AccountSwitches } from './account.ts';
import { MAX_NAME_CHARACTERS } from './authorize.ts';
import type { Reply } from './error.ts';
import { readFault, type Faults } from './fault.ts';
import { jsonOf, type Request } from './request.ts';
import type { SimulatorState } from './state.ts';

export interface ControlContext {
  readonly state: SimulatorState;
  readonly faults: Faults;
  readonly nowMs: number;
}

/**
 * GET /simulator/accounts; POST /simulator/accounts `{name, ...switches}` makes or changes the account of
 * that name; POST /simulator/faults `{kind, path, times, delayMs, ignoreIdempotencyKey}`;
 * GET /simulator/faults answers when none waits any more; DELETE /simulator/faults takes them back.
 */
export async function control(
  request: Request,
  { state, faults, nowMs }: ControlContext,
): Promise<Reply> {
  switch (`${request.method} ${request.path}`) {
    case 'GET /simulator/accounts':
      return { status: 200, body: { accounts: state.accounts() } };
    case 'POST /simulator/accounts':
      return putAccount(jsonOf(request) ?? {}, state, nowMs);
    case 'POST /simulator/faults': {
      const fault = readFault(jsonOf(request) ?? {});
      if (typeof fault === 'string') return refused(fault);
      faults.set(fault);
      return { status: 200, body: fault };
    }
    case 'GET /simulator/faults':
      await faults.spent();
      return { status: 200, body: { waiting: 0 } };
    case 'DELETE /simulator/faults':
      faults.clear();
      return { status: 200, body: {} };
    default:
      return { status: 404, body: { problem: `There is no ${request.method} ${request.path}` } };
  }
}

function putAccount(
  json: Readonly<Record<string, unknown>>,
  state: SimulatorState,
  nowMs: number,
): Reply {
  const { name } = json as { name?: unknown };
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_CHARACTERS) {
    return refused(`name must be 1 to ${MAX_NAME_CHARACTERS} characters`);
  }
  const switches = readSwitches(json);
  if (typeof switches === 'string') return refused(switches);
  const account = state.accountNamed(name, nowMs, { ...VERIFIED, ...switches });
  return { status: 200, body: state.change(account.id, switches) };
}

function readSwitches(json: Readonly<Record<string, unknown>>): Partial<AccountSwitches> | string {
  const { detailsSubmitted, payoutsEnabled, transfers, pastDue } = json as Record<
    keyof AccountSwitches,
    unknown
  >;
  const switches: { -readonly [K in keyof AccountSwitches]?: AccountSwitches[K] } = {};
  if (detailsSubmitted !== undefined) {
    if (typeof detailsSubmitted !== 'boolean') return 'detailsSubmitted must be true or false';
    switches.detailsSubmitted = detailsSubmitted;
  }
  if (payoutsEnabled !== undefined) {
    if (typeof payoutsEnabled !== 'boolean') return 'payoutsEnabled must be true or false';
    switches.payoutsEnabled = payoutsEnabled;
  }
  if (transfers !== undefined) {
    if (transfers !== 'active' && transfers !== 'inactive' && transfers !== 'pending') {
      return 'transfers must be active, inactive or pending';
    }
    switches.transfers = transfers;
  }
  if (pastDue !== undefined) {
    if (!Array.isArray(pastDue) || !pastDue.every((item) => typeof item === 'string')) {
      return 'pastDue must be a list of requirement names';
    }
    switches.pastDue = pastDue;
  }
  return switches;
}

function refused(problem: string): Reply {
  return { status: 400, body: { problem } };
}
