// What the control plane keeps secret, as the rest of it sees that: things that can be asked to sign or to
// compute, never key bytes. Key files are one form; a secret store such as Vault can be another.

export interface IssueRequest {
  /** DER SubjectPublicKeyInfo, ECDSA P-256. */
  readonly publicKeySpki: Uint8Array;
  readonly commonName: string;
  /** `node/n-...`: the path of the one URI name, `spiffe://<trust domain>/<path>`. */
  readonly spiffePath: string;
  readonly usage: 'client' | 'server' | 'signer';
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface IssuedCertificate {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER: the certificate, then the intermediate. */
  readonly chain: readonly Uint8Array[];
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array;
  readonly notAfterMs: number;
}

export interface Authority {
  readonly trustDomain: string;
  /** DER. */
  readonly rootCertificate: Uint8Array;
  /** DER. */
  readonly intermediateCertificate: Uint8Array;
  /** Issues under the intermediate. Throws when the request makes no sense or the issuer is gone. */
  issue(request: IssueRequest): Promise<IssuedCertificate>;
}

/** Signs orders and settlements. */
export interface Signer {
  /** SHA-256 of its SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array;
  /** DER, leaf first, the root left off. */
  readonly chain: readonly Uint8Array[];
  /** ECDSA P-256 with SHA-256, IEEE P1363, 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** The key that the heartbeat keys of all nodes are derived from. */
export interface HeartbeatMaster {
  readonly keyId: number;
  /** HMAC-SHA256, 32 bytes. */
  hmac(bytes: Uint8Array): Promise<Uint8Array>;
}

export interface Secrets {
  readonly authority: Authority;
  readonly signer: Signer;
  readonly heartbeatMaster: HeartbeatMaster;
  /** 32 bytes; keys the pseudonyms of clients towards nodes. */
  readonly isolationSecret: Uint8Array;
}
