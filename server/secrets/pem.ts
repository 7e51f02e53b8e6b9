// PEM (RFC 7468) of the two kinds that our files hold.

/** One certificate in PEM. */
export function certificatePem(der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** The certificates of a PEM text, DER, in order. */
export function certificatesOfPem(text: string): Uint8Array[] {
  const blocks = text.matchAll(
    /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g,
  );
  return [...blocks].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
}
