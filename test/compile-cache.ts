// Half of what a short program of ours costs is compiling its modules, and the tests start hundreds of them. All
// share one cache, under node_modules/.cache, which Node.js names by version and each module by its text.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../node_modules/.cache/gap-junction/compiled');
enableCompileCache(folder);
process.env['NODE_COMPILE_CACHE'] = folder;
