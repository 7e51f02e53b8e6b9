// A certificate's serial number in one form. DER puts a zero byte before a number whose top bit is set,
// Node prints upper-case hex, others print colons or leave leading zeros away: all of these must lead to
// the same heartbeat keys and the same row in the database.

/** RFC 5280, section 4.1.2.2: at most 20 octets; one more for DER's leading zero. */
const MAX_SERIAL_BYTES = 20;

/** No form of a serial is longer: 21 bytes in hex. */
const MAX_SERIAL_HEX_CHARACTERS = 42;

/**
 * The number as minimal unsigned big-endian bytes, 1 to 20 of them, from the content of its DER INTEGER
 * or any other big-endian form. Throws a RangeError for zero and for longer numbers.
 */
export function serialBytes(serial: Uint8Array): Uint8Array {
  let start = 0;
  while (start < serial.length && serial[start] === 0) start++;
  const bytes = serial.slice(start);
  if (bytes.length === 0 || bytes.length > MAX_SERIAL_BYTES) {
    throw new RangeError(
      `A certificate's serial number has 1 to ${MAX_SERIAL_BYTES} bytes and is not zero, this one has ${bytes.length}`,
    );
  }
  return bytes;
}

/** The same from hex of either case, with or without leading zeros, as Node's `serialNumber` has it. */
export function serialBytesOfHex(hex: string): Uint8Array {
  if (hex.length > MAX_SERIAL_HEX_CHARACTERS || !/^[0-9a-fA-F]+$/.test(hex)) {
    throw new RangeError(`"${hex.slice(0, 64)}" is no certificate serial number in hex`);
  }
  return serialBytes(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

/** Lower-case hex of the minimal bytes, two digits a byte: how a serial stands in the database and in logs. */
export function serialHex(serial: Uint8Array | string): string {
  const bytes = typeof serial === 'string' ? serialBytesOfHex(serial) : serialBytes(serial);
  return Buffer.from(bytes).toString('hex');
}
