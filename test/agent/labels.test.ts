import { expect } from 'chai';

import { AgentError } from '../../agent/error.ts';
import { parseLabels } from '../../agent/labels.ts';

describe('the labels of a machine', () => {
  it('are read as an owner writes them', () => {
    expect(parseLabels([])).to.deep.equal({});
    expect(parseLabels(['zone=eu-west', 'gpu=', 'example.com/rack=a=b'])).to.deep.equal({
      zone: 'eu-west',
      gpu: '',
      'example.com/rack': 'a=b',
    });
  });

  const wrong: readonly string[][] = [
    ['zone'],
    ['=value'],
    ['Zone=x'],
    ['zone-=x'],
    [`${'k'.repeat(64)}=x`],
    [`k=${'v'.repeat(64)}`],
    ['k=\u{1b}[2J'],
    ['k=1', 'k=2'],
    Array.from({ length: 17 }, (_, index) => `k${index}=x`),
  ];
  for (const texts of wrong) {
    it(`are refused at once where no control plane would take '${texts.join(' ').slice(0, 30)}'`, () => {
      expect(() => parseLabels(texts))
        .to.throw(AgentError)
        .with.property('reason', 'OPTION_REFUSED');
    });
  }
});
