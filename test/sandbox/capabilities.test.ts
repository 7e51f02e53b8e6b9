import { expect } from 'chai';

import { HOST_INTERFACE } from '../../metering/metering.ts';
import { CAPABILITIES } from '../../sandbox/capabilities.ts';

describe('what a guest can import', () => {
  it('is what its module was checked against when it was registered', () => {
    const linked = [...CAPABILITIES].map(([module, functions]) => {
      const types = [...functions].map(
        ([name, { params, results }]) =>
          [name, `(${params.join(', ')}) -> (${results.join(', ')})`] as const,
      );
      return [module, Object.fromEntries(types)];
    });
    const checked = [...HOST_INTERFACE].map(([module, types]) => [
      module,
      Object.fromEntries(types),
    ]);
    expect(linked).to.deep.equal(checked);
  });
});
