// The demo's photograph: an evening over hills, drawn rather than shipped, as a BMP that any viewer opens.

type Colour = readonly [red: number, green: number, blue: number];

const HEADER_BYTES = 54;
const HILLS: readonly {
  readonly base: number;
  readonly height: number;
  readonly colour: Colour;
}[] = [
  { base: 0.56, height: 0.16, colour: [110, 92, 128] },
  { base: 0.68, height: 0.14, colour: [74, 70, 98] },
  { base: 0.82, height: 0.12, colour: [36, 44, 58] },
];
const SUN = { x: 0.68, y: 0.4, radius: 0.085 };

/** A BMP of 24 bits, uncompressed, rows from the bottom. `seed` picks the hills. */
export function drawPicture({
  width,
  height,
  seed,
}: {
  readonly width: number;
  readonly height: number;
  readonly seed: number;
}): Uint8Array {
  const rowBytes = Math.ceil((width * 3) / 4) * 4;
  const bytes = new Uint8Array(HEADER_BYTES + rowBytes * height);
  writeHeader(bytes, { width, height });
  for (let y = 0; y < height; y += 1) {
    const row = HEADER_BYTES + (height - 1 - y) * rowBytes;
    for (let x = 0; x < width; x += 1) {
      const [red, green, blue] = colourAt(x / width, y / height, { aspect: width / height, seed });
      bytes.set([blue, green, red], row + x * 3);
    }
  }
  return bytes;
}

function writeHeader(bytes: Uint8Array, size: { width: number; height: number }): void {
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, HEADER_BYTES, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, size.width, true);
  view.setInt32(22, size.height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  view.setUint32(34, bytes.length - HEADER_BYTES, true);
}

function colourAt(
  x: number,
  y: number,
  { aspect, seed }: { aspect: number; seed: number },
): Colour {
  for (const [layer, hill] of [...HILLS.entries()].toReversed()) {
    const ridge = hill.base - hill.height * ridgeAt(x * 3 + layer * 7, seed + layer);
    if (y > ridge) return shade(hill.colour, 1 - 0.35 * (y - ridge) - 0.08 * grain(x, y, seed));
  }
  const distance = Math.hypot((x - SUN.x) * aspect, y - SUN.y);
  if (distance < SUN.radius) return [255, 226, 150];
  const glow = Math.exp(-4 * (distance - SUN.radius));
  return [
    Math.min(255, 88 + 150 * y + 90 * glow),
    Math.min(255, 96 + 90 * y + 60 * glow),
    Math.min(255, 158 - 20 * y - 10 * glow),
  ];
}

function shade([red, green, blue]: Colour, factor: number): Colour {
  return [red * factor, green * factor, blue * factor];
}

/** Five octaves of value noise: 0 to 1. */
function ridgeAt(x: number, seed: number): number {
  let sum = 0;
  for (let octave = 0; octave < 5; octave += 1) {
    sum += noise(x * 2 ** octave, seed + octave * 101) / 2 ** (octave + 1);
  }
  return sum;
}

function noise(x: number, seed: number): number {
  const left = Math.floor(x);
  const t = x - left;
  const smooth = t * t * (3 - 2 * t);
  return hash(left, seed) * (1 - smooth) + hash(left + 1, seed) * smooth;
}

function grain(x: number, y: number, seed: number): number {
  return hash(Math.floor(x * 700) + Math.floor(y * 500) * 1013, seed);
}

function hash(value: number, seed: number): number {
  let bits = Math.imul(value ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
