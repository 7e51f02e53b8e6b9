// A certificate as our rules see it: names, usages and the key, read from the DER itself. Node's
// X509Certificate has no path length, and prints subject alternative names as one quoted text, in which
// a name could pretend to be two.

import { hash, X509Certificate } from 'node:crypto';
import { DerReader, dottedOid, MalformedDer, TAG } from './der.ts';
import { parseSpiffeUri } from './spiffe.ts';

/**
 * The extended key usage of the key that signs work orders and settlements. No listener accepts it, and
 * no certificate for a connection has it. The number was made from a random UUID
 * (1e78e081-f809-428f-921c-2de6cf67cc23) in the way that Microsoft publishes for it, in arcs of at most
 * 24 bits: a single arc of 128 bits under 2.25 makes Go's x509 refuse the whole certificate.
 */
export const SIGNING_EKU_OID =
  '1.2.840.113556.1.8000.2554.7800.57473.63497.17039.37404.3008207.6802467';

/** RFC 5280, section 4.2.1.12. */
export const CLIENT_AUTH_EKU_OID = '1.3.6.1.5.5.7.3.2';
export const SERVER_AUTH_EKU_OID = '1.3.6.1.5.5.7.3.1';

/** Ours have some 700 bytes. */
export const MAX_CERTIFICATE_BYTES = 8_192;

const EXTENSION = {
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** GeneralName's uniformResourceIdentifier, [6] implicit. */
const URI_TAG = 0x86;

export interface Certificate {
  readonly x509: X509Certificate;
  /** The DER of the names, to be compared byte by byte. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** The content of the serial's INTEGER; see `serialBytes`. */
  readonly serial: Uint8Array;
  /** Unix milliseconds; both ends are within the certificate's life. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the DER SubjectPublicKeyInfo, 32 bytes. */
  readonly keyId: Uint8Array;
  readonly uriNames: readonly string[];
  /** Dotted; empty where the extension is missing. */
  readonly extendedKeyUsages: readonly string[];
  readonly isAuthority: boolean;
  /** Authorities that may stand between this one and a leaf; null where there is no bound. */
  readonly pathLength: number | null;
  /** Null where the extension is missing. */
  readonly keyUsage: { readonly digitalSignature: boolean; readonly keyCertSign: boolean } | null;
}

/**
 * Reads an X.509 v3 certificate from its DER, at most MAX_CERTIFICATE_BYTES. Throws MalformedDer for
 * everything else: PEM, bytes left over, an extension twice, a critical one that is not known here.
 */
export function readCertificate(input: Uint8Array | X509Certificate): Certificate {
  const der = input instanceof X509Certificate ? input.raw : input;
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new MalformedDer(
      `The certificate has ${der.length} bytes, more than ${MAX_CERTIFICATE_BYTES}`,
    );
  }
  const file = new DerReader(der);
  const whole = new DerReader(file.expect(TAG.sequence).content);
  file.end();
  const body = new DerReader(whole.expect(TAG.sequence).content);
  const version = body.expect(TAG.context0).content;
  if (version.length !== 3 || version[2] !== 2)
    throw new MalformedDer('The certificate is not X.509 v3');
  const serial = body.expect(TAG.integer).content;
  body.expect(TAG.sequence);
  const issuer = body.expect(TAG.sequence).bytes;
  body.expect(TAG.sequence);
  const subject = body.expect(TAG.sequence).bytes;
  const publicKeyInfo = body.expect(TAG.sequence).bytes;
  const extensions = readExtensions(body.optional(TAG.context3)?.content ?? null);
  body.end();
  const x509 = input instanceof X509Certificate ? input : x509Of(der);
  return {
    x509,
    issuer,
    subject,
    serial,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    keyId: hash('sha256', publicKeyInfo, 'buffer'),
    uriNames: readUriNames(extensions.get(EXTENSION.subjectAlternativeName)),
    extendedKeyUsages: readExtendedKeyUsages(extensions.get(EXTENSION.extendedKeyUsage)),
    ...readBasicConstraints(extensions.get(EXTENSION.basicConstraints)),
    keyUsage: readKeyUsage(extensions.get(EXTENSION.keyUsage)),
  };
}

/**
 * Whom the certificate speaks for, in which trust domain: the one URI name that it has, when that is a
 * name of ours. Null for every other certificate, also one that cannot be read. Says nothing about who
 * issued it or when.
 */
export function spiffeNameOf(
  certificate: X509Certificate | Certificate,
): ReturnType<typeof parseSpiffeUri> {
  let uriNames: readonly string[];
  try {
    ({ uriNames } =
      certificate instanceof X509Certificate ? readCertificate(certificate) : certificate);
  } catch (cause) {
    if (cause instanceof MalformedDer) return null;
    throw cause;
  }
  const [only, ...others] = uriNames;
  return only === undefined || others.length > 0 ? null : parseSpiffeUri(only);
}

function x509Of(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new MalformedDer('The certificate cannot be parsed', { cause });
  }
}

/** The value of each extension by its dotted OID. */
function readExtensions(content: Uint8Array | null): Map<string, Uint8Array> {
  const values = new Map<string, Uint8Array>();
  if (content === null) return values;
  const wrapper = new DerReader(content);
  const list = new DerReader(wrapper.expect(TAG.sequence).content);
  wrapper.end();
  while (!list.atEnd) {
    const extension = new DerReader(list.expect(TAG.sequence).content);
    const oid = dottedOid(extension.expect(TAG.objectIdentifier).content);
    const critical = readBoolean(extension.optional(TAG.boolean)?.content);
    const value = extension.expect(TAG.octetString).content;
    extension.end();
    if (values.has(oid)) throw new MalformedDer(`The extension ${oid} stands there twice`);
    if (critical && !Object.values<string>(EXTENSION).includes(oid)) {
      throw new MalformedDer(`The critical extension ${oid} is not known`);
    }
    values.set(oid, value);
  }
  return values;
}

function readUriNames(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined) return [];
  const uris: string[] = [];
  const names = sequenceIn(value);
  while (!names.atEnd) {
    const name = names.next();
    // Latin-1 keeps each byte a character of its own, so nothing outside of ASCII turns into a name.
    if (name.tag === URI_TAG) uris.push(Buffer.from(name.content).toString('latin1'));
  }
  return uris;
}

function readExtendedKeyUsages(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined) return [];
  const oids: string[] = [];
  const usages = sequenceIn(value);
  while (!usages.atEnd) oids.push(dottedOid(usages.expect(TAG.objectIdentifier).content));
  return oids;
}

function readBasicConstraints(
  value: Uint8Array | undefined,
): Pick<Certificate, 'isAuthority' | 'pathLength'> {
  if (value === undefined) return { isAuthority: false, pathLength: null };
  const constraints = sequenceIn(value);
  const isAuthority = readBoolean(constraints.optional(TAG.boolean)?.content);
  const length = constraints.optional(TAG.integer)?.content ?? null;
  constraints.end();
  if (length !== null && (length.length !== 1 || (length[0] ?? 0) > 127)) {
    throw new MalformedDer('The path length is larger than 127');
  }
  return { isAuthority, pathLength: length?.[0] ?? null };
}

function readKeyUsage(value: Uint8Array | undefined): Certificate['keyUsage'] {
  if (value === undefined) return null;
  const reader = new DerReader(value);
  const bits = reader.expect(TAG.bitString).content[1] ?? 0;
  reader.end();
  return { digitalSignature: (bits & 0x80) !== 0, keyCertSign: (bits & 0x04) !== 0 };
}

function readBoolean(content: Uint8Array | undefined): boolean {
  if (content === undefined) return false;
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw new MalformedDer('A BOOLEAN is neither true nor false');
  }
  return content[0] === 0xff;
}

function sequenceIn(value: Uint8Array): DerReader {
  const outer = new DerReader(value);
  const sequence = outer.expect(TAG.sequence);
  outer.end();
  return new DerReader(sequence.content);
}
