// What is taken from a certificate request, and all that can be wrong with one. The public key is taken
// and nothing else, so a request that asks for more is refused rather than quietly given less.
import 'reflect-metadata';
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  type Extension,
  Pkcs10CertificateRequest,
} from '@peculiar/x509';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { RpcError } from '../rpc/error.ts';

cryptoProvider.set(webcrypto);

export interface CertificateRequest {
  /** DER SubjectPublicKeyInfo of an ECDSA P-256 key. */
  readonly publicKeySpki: Uint8Array;
  /** SHA-256 of it. */
  readonly keyId: Uint8Array;
}

/** A request of one P-256 key takes about 250 bytes; the contract's own bound. */
const MAX_CSR_BYTES = 4096;

/** RFC 5280: basicConstraints, subjectAltName. RFC 2986 attributes that ask for nothing are let pass. */
const BASIC_CONSTRAINTS = '2.5.29.19';
const SUBJECT_ALT_NAME = '2.5.29.17';

/**
 * Reads a PKCS #10 request (RFC 2986), DER, and checks its signature (proof of possession).
 * Throws RpcError INVALID_ARGUMENT: CSR_MALFORMED, CSR_SIGNATURE_INVALID, CSR_KEY_UNSUPPORTED,
 * CSR_EXTENSION_REFUSED.
 */
export async function parseCertificateRequest(der: Uint8Array): Promise<CertificateRequest> {
  const request = decode(der);
  const publicKey = publicKeyOf(request);
  const keyId = keyIdOf(publicKey);
  if (keyId === null) throw refused('CSR_KEY_UNSUPPORTED', 'its key is not ECDSA P-256');
  let valid: boolean;
  try {
    valid = await request.verify();
  } catch (cause) {
    throw refused('CSR_SIGNATURE_INVALID', 'its signature cannot be checked', cause);
  }
  if (!valid) throw refused('CSR_SIGNATURE_INVALID', 'its signature is not by its own key');
  for (const extension of request.extensions) refuseExtension(extension);
  return { publicKeySpki: publicKey.export({ type: 'spki', format: 'der' }), keyId };
}

function decode(der: Uint8Array): Pkcs10CertificateRequest {
  if (der.length > MAX_CSR_BYTES) {
    throw refused('CSR_MALFORMED', `it has ${der.length} bytes, more than ${MAX_CSR_BYTES}`);
  }
  // The decoder takes PEM, too, and stops quietly at the end of the outer SEQUENCE: neither is DER.
  const outerBytes = outerSequenceBytes(der);
  if (outerBytes !== der.length) {
    throw refused('CSR_MALFORMED', 'it is not one whole DER SEQUENCE with nothing after it');
  }
  try {
    return new Pkcs10CertificateRequest(Buffer.from(der));
  } catch (cause) {
    throw refused('CSR_MALFORMED', 'it is no PKCS #10 request in DER', cause);
  }
}

/** Bytes of the SEQUENCE that the input starts with, header included; -1 when it starts with none. */
function outerSequenceBytes(der: Uint8Array): number {
  const [tag, first, second, third] = der;
  if (tag !== 0x30 || first === undefined) return -1;
  if (first < 0x80) return 2 + first;
  if (first === 0x81 && second !== undefined && second >= 0x80) return 3 + second;
  if (first === 0x82 && second !== undefined && second > 0 && third !== undefined) {
    return 4 + second * 256 + third;
  }
  return -1;
}

function publicKeyOf(request: Pkcs10CertificateRequest): KeyObject {
  try {
    const key = Buffer.from(request.publicKey.rawData);
    return createPublicKey({ key, type: 'spki', format: 'der' });
  } catch (cause) {
    throw refused('CSR_KEY_UNSUPPORTED', 'its key cannot be read', cause);
  }
}

function refuseExtension(extension: Extension): void {
  if (extension.type === SUBJECT_ALT_NAME) {
    throw refused('CSR_EXTENSION_REFUSED', 'it asks for names (subjectAltName)');
  }
  if (extension.type === BASIC_CONSTRAINTS) {
    if (!(extension instanceof BasicConstraintsExtension) || extension.ca) {
      throw refused('CSR_EXTENSION_REFUSED', 'it asks to be a CA (basicConstraints)');
    }
  }
}

function refused(reason: string, what: string, cause?: unknown): RpcError {
  return new RpcError('INVALID_ARGUMENT', reason, `reading the certificate request: ${what}`, {
    cause,
  });
}
