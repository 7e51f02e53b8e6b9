// Turns a photograph into a pencil sketch: blurs it, finds its edges (Sobel), and draws them dark on
// paper that keeps a little of the colour. Reads a PPM (P6, 8 bits) or a BMP (24 or 32 bits,
// uncompressed); writes a BMP of 24 bits, which any viewer opens.
import { readInput, writeOutput } from "./gap-junction";

const MAX_SIDE: i32 = 8192;

class Picture {
  /** Red, green, blue for each pixel, rows from the top. */
  pixels: Uint8Array;

  constructor(public width: i32, public height: i32) {
    assert(width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE, "size");
    this.pixels = new Uint8Array(width * height * 3);
  }
}

export function run(): void {
  const input = readInput();
  const picture = input[0] == 0x42 ? readBmp(input) : readPpm(input);
  writeOutput(writeBmp(sketch(picture)));
}

function sketch(picture: Picture): Picture {
  const width = picture.width;
  const height = picture.height;
  const light = blur(luminance(picture), width, height);
  const drawn = new Picture(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ink = edge(light, width, height, x, y);
      const at = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) {
        // Paper: three parts white, one part the picture's own colour.
        const paper = (765 + <i32>unchecked(picture.pixels[at + c])) >> 2;
        unchecked((drawn.pixels[at + c] = <u8>max(0, paper - ink)));
      }
    }
  }
  return drawn;
}

function luminance(picture: Picture): Uint8Array {
  const light = new Uint8Array(picture.width * picture.height);
  for (let i = 0; i < light.length; i++) {
    const red = <i32>unchecked(picture.pixels[i * 3]);
    const green = <i32>unchecked(picture.pixels[i * 3 + 1]);
    const blue = <i32>unchecked(picture.pixels[i * 3 + 2]);
    unchecked((light[i] = <u8>((77 * red + 150 * green + 29 * blue) >> 8)));
  }
  return light;
}

function blur(light: Uint8Array, width: i32, height: i32): Uint8Array {
  const soft = new Uint8Array(light.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) sum += at(light, width, height, x + dx, y + dy);
      }
      unchecked((soft[y * width + x] = <u8>(sum / 9)));
    }
  }
  return soft;
}

/** Strength of the edge at a pixel, 0 to 255. */
function edge(light: Uint8Array, w: i32, h: i32, x: i32, y: i32): i32 {
  const across =
    at(light, w, h, x + 1, y - 1) + 2 * at(light, w, h, x + 1, y) + at(light, w, h, x + 1, y + 1) -
    at(light, w, h, x - 1, y - 1) - 2 * at(light, w, h, x - 1, y) - at(light, w, h, x - 1, y + 1);
  const down =
    at(light, w, h, x - 1, y + 1) + 2 * at(light, w, h, x, y + 1) + at(light, w, h, x + 1, y + 1) -
    at(light, w, h, x - 1, y - 1) - 2 * at(light, w, h, x, y - 1) - at(light, w, h, x + 1, y - 1);
  return min(255, abs(across) + abs(down));
}

/** The pixel at x, y, or the one nearest to it on the border. */
// @ts-ignore: decorator
@inline
function at(light: Uint8Array, width: i32, height: i32, x: i32, y: i32): i32 {
  const column = min(max(x, 0), width - 1);
  const row = min(max(y, 0), height - 1);
  return <i32>unchecked(light[row * width + column]);
}

function readPpm(input: Uint8Array): Picture {
  assert(input[0] == 0x50 && input[1] == 0x36, "neither P6 nor BMP");
  const numbers = new StaticArray<i32>(3);
  let at = 2;
  for (let n = 0; n < 3; n++) {
    while (isSpace(input[at]) || input[at] == 0x23) {
      // A comment runs from # to the end of its line.
      if (input[at] == 0x23) while (input[at] != 0x0a) at++;
      at++;
    }
    while (!isSpace(input[at])) numbers[n] = numbers[n] * 10 + <i32>(input[at++] - 0x30);
  }
  assert(numbers[2] == 255, "more than 8 bits");
  const picture = new Picture(numbers[0], numbers[1]);
  for (let i = 0; i < picture.pixels.length; i++) picture.pixels[i] = input[at + 1 + i];
  return picture;
}

function isSpace(byte: u8): bool {
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function readBmp(input: Uint8Array): Picture {
  const view = new DataView(input.buffer);
  const from = view.getInt32(10, true);
  const height = view.getInt32(22, true);
  const bytes = <i32>view.getUint16(28, true) / 8;
  assert((bytes == 3 || bytes == 4) && view.getInt32(30, true) % 3 == 0, "compressed");
  const picture = new Picture(view.getInt32(18, true), abs(height));
  const stride = (picture.width * bytes + 3) & ~3;
  for (let y = 0; y < picture.height; y++) {
    // Rows from the bottom, but for a negative height.
    const row = from + (height > 0 ? height - 1 - y : y) * stride;
    for (let x = 0; x < picture.width; x++) {
      for (let c = 0; c < 3; c++) {
        picture.pixels[(y * picture.width + x) * 3 + c] = input[row + x * bytes + 2 - c];
      }
    }
  }
  return picture;
}

function writeBmp(picture: Picture): Uint8Array {
  const stride = (picture.width * 3 + 3) & ~3;
  const file = new Uint8Array(54 + stride * picture.height);
  const view = new DataView(file.buffer);
  view.setUint16(0, 0x4d42, true);
  view.setInt32(2, file.length, true);
  view.setInt32(10, 54, true);
  view.setInt32(14, 40, true);
  view.setInt32(18, picture.width, true);
  view.setInt32(22, picture.height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  view.setInt32(34, stride * picture.height, true);
  for (let y = 0; y < picture.height; y++) {
    const row = 54 + (picture.height - 1 - y) * stride;
    for (let x = 0; x < picture.width; x++) {
      for (let c = 0; c < 3; c++) {
        file[row + x * 3 + 2 - c] = picture.pixels[(y * picture.width + x) * 3 + c];
      }
    }
  }
  return file;
}
