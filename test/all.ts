// Tests that need more than Node.js and npm (Redis, PostgreSQL, a browser, other compilers) or more
// than a minute run when GJ_TEST_ALL is set: `npm run test:all`, which CI calls.

/** `describe` when everything is to be run, `describe.skip` otherwise. */
export const whenAll: Mocha.SuiteFunction | Mocha.PendingSuiteFunction = process.env['GJ_TEST_ALL']
  ? describe
  : describe.skip;
