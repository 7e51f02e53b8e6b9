// How the command reads numbers: whole ones, and nothing that is almost one.
import { InvalidArgumentError } from 'commander';

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`'${text}' is not a whole number.`);
  }
  return value;
}

/** The same, but not 0: where the contract takes 0 for "the default", a person means something else. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('0 is not allowed.');
  return value;
}

/** For amounts that a double does not hold exactly: fuel and money. */
export function wholeBigint(text: string): bigint {
  if (!/^\d{1,19}$/.test(text)) {
    throw new InvalidArgumentError(`'${text}' is not a whole number of at most 19 digits.`);
  }
  return BigInt(text);
}

/** As positiveNumber. */
export function positiveBigint(text: string): bigint {
  const value = wholeBigint(text);
  if (value === 0n) throw new InvalidArgumentError('0 is not allowed.');
  return value;
}
