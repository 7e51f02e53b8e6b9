import { memoryLimiter } from '../../../server/rpc/limiter.ts';
import { limiterContract } from './limiter.contract.ts';

describe('limits counted in this process', () => {
  limiterContract((options) => {
    const limiter = memoryLimiter(options);
    return [limiter, limiter];
  });
});
