// @ts-check
/**
 * The self-test: computed images, and the labels that PyTorch gave for them. Every pixel that PyTorch decided
 * clearly must be equal here. Images are made of integers alone, so that every machine sees the same pixels.
 */

import { ModelError, VerificationError } from "./errors.js";
import { sha256 } from "./sha256.js";

/**
 * @typedef {Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>} Pixels
 * @typedef {{
 *   size: [number, number, number], decided: number, wrong: number,
 *   worst: null | {batch: number, y: number, x: number, got: number, expected: number},
 * }} CaseReport
 * @typedef {{
 *   device: string, passed: boolean, blind: boolean, distinct: number, milliseconds: number, cases: CaseReport[],
 * }} SelfTestReport
 */

const STEP = 16; // pixels between the points of the lattice
const SEED_FACTOR = 0x9e3779b9;
const NOISE_SALT = 0x85ebca6b;
const LEAST_DECIDED = 0.01; // of the pixels: fewer show nothing

/**
 * Run every case and compare the decided pixels.
 * @param {string} device what runs it, as messages call it
 * @param {import("./model.js").Model} model
 * @param {(image: Pixels, size: [number, number, number]) => Promise<Uint8Array | Uint16Array>} labelsOf
 *   labels (batch, height, width) of an image (batch, height, width, channels)
 * @returns {Promise<SelfTestReport>}
 */
export async function runSelfTest(device, model, labelsOf) {
  const { card, golden } = model;
  const start = performance.now();
  const cases = [];
  const seen = new Set();
  for (const { batch, height, width, seed, input_sha256, labels } of golden.cases) {
    const image = pattern(batch, height, width, seed, card.input);
    const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
    if ((await sha256(bytes)) !== input_sha256)
      throw new ModelError("the self-test's image is not the one that was exported (its SHA-256 differs): export again");
    const expected = await inflated(labels, batch * height * width, golden.dtype);
    const got = await labelsOf(image, [batch, height, width]);
    cases.push(compared(got, expected, [batch, height, width], card, seen));
  }
  const pixels = cases.reduce((sum, { size: [n, h, w] }) => sum + n * h * w, 0);
  const decided = cases.reduce((sum, report) => sum + report.decided, 0);
  const decisive = decided >= LEAST_DECIDED * pixels;
  return {
    device,
    passed: decisive && cases.every((report) => report.wrong === 0),
    blind: seen.size < 2,
    distinct: seen.size,
    milliseconds: performance.now() - start,
    cases,
  };
}

/**
 * @param {SelfTestReport} report
 * @throws {VerificationError} it did not pass; the message names the worst case and its first wrong pixel
 */
export function requirePassed(report) {
  if (report.passed) return;
  const share = (/** @type {CaseReport} */ each) => each.wrong / Math.max(each.decided, 1);
  const worst = report.cases.reduce((a, b) => (share(b) > share(a) ? b : a));
  if (!worst.worst)
    throw new VerificationError(
      `the self-test decides ${worst.decided} of ${worst.size.join("x")} pixels, expected at least 1 % of them: it shows nothing; export again`,
    );
  const { batch, y, x, got, expected } = worst.worst;
  throw new VerificationError(
    `the self-test failed on ${report.device}: at ${worst.size.join("x")}, ${worst.wrong} of ${worst.decided} decided pixels differ from PyTorch, the first at image ${batch}, row ${y}, column ${x} (label ${got}, expected ${expected}): do not use this device with this model`,
  );
}

/**
 * A test image (batch, height, width, channels) of the model's dtype: a lattice of hashed bytes with integer
 * bilinear values between, and hashed noise from -8 to 8.
 * @param {number} batch @param {number} height @param {number} width @param {number} seed
 * @param {import("./model.js").Card["input"]} input
 * @returns {Pixels}
 */
export function pattern(batch, height, width, seed, input) {
  const { channels, dtype, scale } = input;
  const offset = Math.imul(seed, SEED_FACTOR) >>> 0;
  const size = batch * height * width * channels;
  const values = dtype === "uint8" ? new Uint8Array(size) : dtype === "uint16" ? new Uint16Array(size) : new Float32Array(size);
  const divisor = Math.fround(255 * scale);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++) {
          const point = (/** @type {number} */ row, /** @type {number} */ column) => hashed(b, row, column, c, offset) >>> 24;
          const [row, column, down, right] = [Math.floor(y / STEP), Math.floor(x / STEP), y % STEP, x % STEP];
          const left = (STEP - down) * point(row, column) + down * point(row + 1, column);
          const other = (STEP - down) * point(row, column + 1) + down * point(row + 1, column + 1);
          const smooth = ((STEP - right) * left + right * other + 128) >> 8;
          const noise = (((hashed(b, y, x, c, offset + NOISE_SALT) >>> 16) * 17) >>> 16) - 8;
          const value = Math.min(Math.max(smooth + noise, 0), 255);
          values[at++] = dtype === "uint8" ? value : dtype === "uint16" ? value * 257 : value / divisor;
        }
  return values;
}

/**
 * lowbias32 of the index, https://github.com/skeeto/hash-prospector
 * @param {number} b @param {number} y @param {number} x @param {number} c @param {number} offset
 */
function hashed(b, y, x, c, offset) {
  let value = ((((b * 4096 + y) * 4096 + x) * 16 + c) % 2 ** 32) + offset;
  value ^= value >>> 16; // to 32 bits, as every operator on bits
  value = Math.imul(value, 0x7feb352d);
  value ^= value >>> 15;
  value = Math.imul(value, 0x846ca68b);
  return (value ^ (value >>> 16)) >>> 0;
}

/**
 * Labels of base64(zlib(little-endian)), which must have exactly so many.
 * @param {string} encoded @param {number} count @param {"uint8" | "uint16"} dtype
 */
async function inflated(encoded, count, dtype) {
  const expected = dtype === "uint8" ? count : 2 * count;
  const damaged = (/** @type {string} */ got) =>
    new ModelError(`the model's self-test: field 'labels' is ${got}, expected ${expected} bytes: export again`);
  const raw = new Uint8Array(expected);
  let size = 0;
  try {
    const packed = Uint8Array.from(atob(encoded), (digit) => digit.charCodeAt(0));
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > expected) {
        await reader.cancel();
        break;
      }
      raw.set(part.value, size - part.value.length);
    }
  } catch (error) {
    throw damaged(`damaged (${error instanceof Error ? error.message : error})`);
  }
  if (size !== expected) throw damaged(`${size} bytes or more`);
  return dtype === "uint8" ? raw : new Uint16Array(raw.buffer);
}

/**
 * @param {Uint8Array | Uint16Array} got @param {Uint8Array | Uint16Array} expected
 * @param {[number, number, number]} size @param {import("./model.js").Card} card @param {Set<number>} seen
 * @returns {CaseReport}
 */
function compared(got, expected, size, card, seen) {
  const [, height, width] = size;
  /** @type {CaseReport} */
  const report = { size, decided: 0, wrong: 0, worst: null };
  expected.forEach((label, at) => {
    const decided = label !== card.unlabeled;
    if (decided) {
      report.decided++;
      seen.add(label);
    }
    // A label that is not a class is wrong everywhere, also where the decision was close; but a file may
    // leave such a pixel unlabeled, if it does so at all.
    const leaves = card.reject !== undefined || card.net?.border === "unlabeled";
    const rejected = leaves && got[at] === card.unlabeled;
    if ((decided && got[at] !== label) || (got[at] >= card.classes.length && !rejected)) {
      report.wrong++;
      const row = Math.floor(at / width);
      report.worst ??= { batch: Math.floor(row / height), y: row % height, x: at % width, got: got[at], expected: label };
    }
  });
  return report;
}
