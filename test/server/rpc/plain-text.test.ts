import { create, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobService, SubmitJobRequestSchema } from '#gen/gapjunction/job/v1/job_pb';
import { DispatchService, WorkRequestSchema } from '#gen/gapjunction/node/v1/dispatch_pb';
import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { findControlCharacter } from '../../../server/rpc/plain-text.ts';
import { implement } from '../../../server/rpc/service.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const SERVICES = [
  AuditService,
  ClientAdminService,
  NodeAdminService,
  BlobService,
  JobService,
  DispatchService,
  EnrolmentService,
];

/** Every text of a message: where it is, and the message with `text` there and nothing else. */
function* texts(
  schema: DescMessage,
  text: string,
): Generator<{ readonly path: string; readonly message: object }> {
  for (const field of schema.fields) {
    for (const { path, value } of valuesOf(field, text)) {
      const fields = field.oneof
        ? { [field.oneof.localName]: { case: field.localName, value } }
        : { [field.localName]: value };
      const message = create(schema, fields);
      yield { path: path === '' ? field.name : `${field.name}.${path}`, message };
    }
  }
}

function* valuesOf(
  field: DescField,
  text: string,
): Generator<{ readonly path: string; readonly value: unknown }> {
  const isText = field.scalar === ScalarType.STRING;
  if (field.fieldKind === 'scalar' && isText) yield { path: '', value: text };
  if (field.fieldKind === 'list' && isText) yield { path: '', value: ['well', text] };
  if (field.fieldKind === 'map') {
    yield { path: '', value: { [text]: 'well' } };
    if (isText) yield { path: '', value: { well: 'well', other: text } };
  }
  if (field.fieldKind !== 'message' && field.fieldKind !== 'list') return;
  if (field.message === undefined) return;
  for (const { path, message } of texts(field.message, text)) {
    yield { path, value: field.fieldKind === 'list' ? [message] : message };
  }
}

describe('texts of requests', () => {
  for (const { typeName, methods } of SERVICES) {
    for (const { name, input } of methods) {
      const all = [...texts(input, 'a\0')];
      if (all.length === 0) continue;
      it(`${typeName}/${name}: no text brings a NUL to the database`, () => {
        for (const { path, message } of all) {
          expect(findControlCharacter(input, message)).to.equal(path);
        }
      });
    }
  }

  for (const [what, text] of Object.entries({
    'a line feed, which forges a line of the log': 'a\nb',
    'an escape sequence, which rules a terminal': '\u{1b}[2J',
    'the same in one character': '\u{9b}2J',
    'a rubbed out character': 'a\u{7f}',
  })) {
    it(`may not have ${what}`, () => {
      const message = create(SubmitJobRequestSchema, { requestId: text });
      expect(findControlCharacter(SubmitJobRequestSchema, message)).to.equal('request_id');
    });
  }

  it('may have all letters of the world, and bytes may be anything', () => {
    const labels = { zone: 'Zürich, 東京 🚀' };
    const message = create(SubmitJobRequestSchema, {
      requestId: 'ein Wunsch',
      spec: { constraints: { labels }, input: { case: 'inlineInput', value: new Uint8Array(9) } },
    });
    expect(findControlCharacter(SubmitJobRequestSchema, message)).to.equal(null);
    const work = create(WorkRequestSchema, { kind: { case: 'introduction', value: { labels } } });
    expect(findControlCharacter(WorkRequestSchema, work)).to.equal(null);
  });

  describe('over the wire', () => {
    let rpc: TestListener;
    before(async () => {
      const unreached = () => {
        throw new Error('reading a request: it should have been refused');
      };
      const handlers = Object.fromEntries(
        JobService.methods.map(({ localName }) => [localName, unreached]),
      );
      rpc = await startListener({ services: [implement(JobService, handlers as never)] });
    });
    after(() => rpc.stop());

    it('are refused by the field, and the refusal says what to do', async () => {
      const client = await rpc.authority.client(`c-${'a'.repeat(20)}`);
      const calling = rpc.clientFor(JobService, client).getJob({ jobId: 'j-\0' });
      const failure = await failureOf(calling);
      expect(failure.reason).to.equal('INVALID_REQUEST');
      expect(failure.message).to.include('job_id must have no control characters; take out NUL');
    });
  });
});
