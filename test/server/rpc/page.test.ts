import { expect } from 'chai';
import { RpcError } from '../../../server/rpc/error.ts';
import { pageLimit, pageOf, pageToken, readPageToken } from '../../../server/rpc/page.ts';

const FORM = /^\d{1,15},c-[a-z]{1,20}$/;

describe('a page', () => {
  it('ends with a token where more follows, and the token names its last item', () => {
    const { items, nextPageToken } = pageOf([1, 2, 3], 2, (last) => [last, 'c-x']);
    expect(items).to.deep.equal([1, 2]);
    expect(readPageToken(nextPageToken, FORM)).to.deep.equal(['2', 'c-x']);
    expect(pageOf([1, 2], 2, (last) => [last]).nextPageToken).to.equal('');
    expect(pageOf([], 2, () => []).nextPageToken).to.equal('');
  });

  it('begins at the start without a token, and holds 50 where no size is asked for', () => {
    expect(readPageToken('', FORM)).to.equal(null);
    expect([pageLimit(0), pageLimit(7)]).to.deep.equal([50, 7]);
  });

  for (const token of [
    'x',
    '%%%',
    pageToken(['1']),
    pageToken(["1' or 1=1", 'c-x']),
    'A'.repeat(200),
  ]) {
    it(`of the token ${token.slice(0, 20)} is refused`, () => {
      expect(() => readPageToken(token, FORM))
        .to.throw(RpcError)
        .with.property('reason', 'PAGE_TOKEN_UNKNOWN');
    });
  }
});
