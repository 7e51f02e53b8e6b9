// Everything the simulator remembers, in memory; with a file, also after a restart.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { VERIFIED, type AccountSwitches, type SimulatedAccount } from './account.ts';
import type { Reply } from './error.ts';

export interface AuthorizationCode {
  readonly accountId: string;
  readonly issuedMs: number;
  readonly used: boolean;
}

/** The answer that a key of idempotency stands for. */
export interface KeyedReply {
  readonly requestDigest: string;
  readonly reply: Reply;
  readonly requestId: string;
}

interface Stored {
  readonly accounts: readonly SimulatedAccount[];
  readonly codes: readonly (readonly [string, AuthorizationCode])[];
  readonly keyed: readonly (readonly [string, KeyedReply])[];
}

/** A test that runs away must not fill the memory; nobody has so many of any of them. */
const MAX_ENTRIES = 10_000;

export class SimulatorState {
  readonly #accounts = new Map<string, SimulatedAccount>();
  readonly #codes = new Map<string, AuthorizationCode>();
  readonly #keyed = new Map<string, KeyedReply>();
  readonly #file: string | null;

  /** Reads the file where there is one. Throws when it is not what `#save` wrote. */
  constructor(file: string | null) {
    this.#file = file;
    if (file === null || !existsSync(file)) return;
    const stored = JSON.parse(readFileSync(file, 'utf8')) as Stored;
    for (const account of stored.accounts) this.#accounts.set(account.id, account);
    for (const [code, value] of stored.codes) this.#codes.set(code, value);
    for (const [key, value] of stored.keyed) this.#keyed.set(key, value);
  }

  accounts(): SimulatedAccount[] {
    return [...this.#accounts.values()];
  }

  account(id: string): SimulatedAccount | undefined {
    return this.#accounts.get(id);
  }

  /** The account of this name, made with the switches where there is none; else its own are kept. */
  accountNamed(name: string, nowMs: number, switches: Partial<AccountSwitches>): SimulatedAccount {
    const known = this.accounts().find((account) => account.name === name);
    if (known !== undefined) return known;
    const account: SimulatedAccount = {
      ...VERIFIED,
      ...switches,
      id: `acct_${token(8)}`,
      name,
      createdMs: nowMs,
      connected: false,
    };
    this.#put(this.#accounts, account.id, account);
    return account;
  }

  /** Changes switches, or connects. The account must be there. */
  change(
    id: string,
    change: Partial<AccountSwitches & { connected: boolean }>,
  ): SimulatedAccount | undefined {
    const account = this.#accounts.get(id);
    if (account === undefined) return undefined;
    const changed = { ...account, ...change };
    this.#put(this.#accounts, id, changed);
    return changed;
  }

  issueCode(accountId: string, nowMs: number): string {
    const code = `ac_${token(16)}`;
    this.#put(this.#codes, code, { accountId, issuedMs: nowMs, used: false });
    return code;
  }

  code(code: string): AuthorizationCode | undefined {
    return this.#codes.get(code);
  }

  useCode(code: string): void {
    const known = this.#codes.get(code);
    if (known !== undefined) this.#put(this.#codes, code, { ...known, used: true });
  }

  keyed(key: string): KeyedReply | undefined {
    return this.#keyed.get(key);
  }

  keep(key: string, reply: KeyedReply): void {
    this.#put(this.#keyed, key, reply);
  }

  #put<T>(map: Map<string, T>, key: string, value: T): void {
    if (map.size >= MAX_ENTRIES && !map.has(key)) {
      throw new Error(`Keeping '${key}': the simulator holds ${MAX_ENTRIES} entries, restart it`);
    }
    map.set(key, value);
    this.#save();
  }

  #save(): void {
    if (this.#file === null) return;
    const stored: Stored = {
      accounts: [...this.#accounts.values()],
      codes: [...this.#codes],
      keyed: [...this.#keyed],
    };
    writeFileSync(`${this.#file}.new`, JSON.stringify(stored));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** Random hex for an id that nobody can guess. */
export function token(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}
