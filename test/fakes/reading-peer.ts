// A client in a process of its own, to be paused: opens a stream, says so, and reads what comes. Arguments:
// the address, and files with the root, the certificate and its key.
import { readFileSync } from 'node:fs';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { openConnection } from '../../cli/connection.ts';

const [address = '', ca = '', cert = '', key = ''] = process.argv.slice(2);
const connection = openConnection(address, {
  ca: readFileSync(ca),
  cert: readFileSync(cert),
  key: readFileSync(key),
});
const responses = connection.client(BlobService).download({ digest: new Uint8Array(32) });
for await (const { chunk } of responses) {
  process.stdout.write(`${JSON.stringify({ event: 'reading', bytes: chunk.length })}\n`);
}
