import { readFile, writeFile } from 'node:fs/promises';

import { Command, Option } from 'commander';

import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError, EXIT } from '../failure.ts';
import { print, printJson } from '../output.ts';
import { certificatesPem, derOfPem, makeKeyAndRequest } from './certificate-request.ts';

interface IssueOptions extends ConnectionOptions {
  readonly name?: string;
  readonly client?: string;
  readonly operator?: string;
  readonly csr?: string;
  readonly newKey?: string;
  readonly out: string;
  readonly json?: boolean;
}

/** The key stays with whoever runs this: the control plane only ever sees the request. */
export function clientIssueCommand(): Command {
  return withConnection(new Command('issue'))
    .description("issue a client's or operator's certificate")
    .option('--name <name>', 'for a new client of this name')
    .addOption(
      new Option('--client <id>', 'for a client that exists, c-...').conflicts([
        'name',
        'operator',
      ]),
    )
    .addOption(new Option('--operator <name>', 'for a new operator').conflicts('name'))
    .option('--csr <file>', 'the certificate request of its holder, PEM')
    .addOption(
      new Option('--new-key <file>', 'or: make a key here, and write it there, PEM').conflicts(
        'csr',
      ),
    )
    .requiredOption('--out <file>', 'write the certificate chain there, PEM')
    .option('--json', 'print the id and the files as JSON')
    .action(async (options: IssueOptions) => {
      const subject = subjectOf(options);
      const csr = await requestOf(options);
      const issued = await connected(options, (connection) =>
        connection.client(ClientAdminService).issueCertificate({ csr, subject }),
      );
      await writeFile(options.out, certificatesPem(issued.certificateChain));
      if (options.json) printJson({ id: issued.id, cert: options.out, key: options.newKey });
      else print(`${issued.id}  ${options.out}`);
    });
}

function subjectOf({ name, client, operator }: IssueOptions) {
  if (name !== undefined) return { case: 'newClientName', value: name } as const;
  if (client !== undefined) return { case: 'clientId', value: client } as const;
  if (operator !== undefined) return { case: 'newOperatorName', value: operator } as const;
  throw new CommandError(
    'issuing a certificate: say for whom, with --name, --client or --operator',
    EXIT.usage,
  );
}

async function requestOf({ csr, newKey }: IssueOptions): Promise<Uint8Array> {
  if (csr !== undefined) return derOfPem(await readFile(csr, 'utf8'));
  if (newKey === undefined) {
    throw new CommandError('issuing a certificate: give --csr, or --new-key', EXIT.usage);
  }
  const { keyPem, request } = await makeKeyAndRequest();
  // Never over a key that is there: it may be the only copy.
  await writeFile(newKey, keyPem, { mode: 0o600, flag: 'wx' });
  return request;
}
