// @ts-check
/**
 * From a picture to the numbers that a model takes, by the rules of the Python runtime: alpha is dropped, one
 * channel is luma by ITU-R BT.601, and the whole range stays the whole range.
 */

import { InputError } from "./errors.js";

/**
 * @typedef {{
 *   data: Uint8ClampedArray | Uint8Array | Uint16Array | Float32Array, width: number, height: number,
 * }} Image
 * @typedef {import("./selftest.js").Pixels} Pixels
 */

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };

/**
 * An image as the model takes it, (height, width, channels).
 * @param {Image} image
 * @param {import("./model.js").Card} card
 * @param {number} maxPixels
 * @param {{buffer?: Pixels}} room holds the buffer of the last image, which the next of its size takes again
 * @returns {Pixels}
 * @throws {InputError}
 */
export function toPixels(image, card, maxPixels, room) {
  const { width, height, data } = image ?? {};
  if (!Number.isInteger(width) || !Number.isInteger(height) || !ArrayBuffer.isView(data))
    throw new InputError("the image has no width, height and data, expected ImageData of a canvas, or an object that has them");
  checkSize(width, height, card, maxPixels);
  const { channels, dtype } = card.input;
  if (data instanceof Uint8ClampedArray) {
    if (data.length !== 4 * width * height)
      throw new InputError(`the image has ${data.length} values, expected ${4 * width * height}: RGBA of ${width} x ${height} pixels`);
    return fromRgba(data, card.input, width * height, room);
  }
  const kind = ARRAYS[dtype];
  if (!(data instanceof kind))
    throw new InputError(`the image's data is ${/** @type {object} */ (data).constructor.name}, expected ${kind.name}, or RGBA as Uint8ClampedArray, as a canvas gives it`);
  if (data.length !== width * height * channels)
    throw new InputError(`the image has ${data.length} values, expected ${width * height * channels}: ${height} rows of ${width} pixels with ${channels} channels each`);
  if (dtype === "float32") {
    const bad = /** @type {Float32Array} */ (data).findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new InputError(`the image holds ${data[bad]}, expected finite values: replace it`);
  }
  return /** @type {Pixels} */ (data);
}

/**
 * @param {number} width @param {number} height @param {import("./model.js").Card} card @param {number} maxPixels
 * @throws {InputError} smaller or larger than the network or the limit allows
 */
export function checkSize(width, height, card, maxPixels) {
  if (width < 1 || height < 1) throw new InputError(`the image is ${height} high and ${width} wide, expected at least one pixel`);
  const { smallest_size: smallest, largest_size: largest } = card.geometry;
  const size = `the image is ${height} high and ${width} wide`;
  if (Math.min(width, height) < smallest)
    throw new InputError(`${size}, expected at least ${smallest} each way, the smallest size of this network: enlarge or pad it`);
  if (largest && (height > largest[0] || width > largest[1]))
    throw new InputError(`${size}, expected at most ${largest[0]} high and ${largest[1]} wide: this network computes differently beyond, and its file does not; shrink or cut the image`);
  if (width * height > maxPixels)
    throw new InputError(`the image has ${width * height} pixels, expected at most ${maxPixels}: make it smaller, or raise maxPixels if memory allows`);
}

/**
 * @param {Uint8ClampedArray} rgba @param {import("./model.js").Card["input"]} input @param {number} pixels
 * @param {{buffer?: Pixels}} room
 */
function fromRgba(rgba, { channels, dtype, scale }, pixels, room) {
  if (channels !== 1 && channels !== 3)
    throw new InputError(`the image has 4 channels, RGBA, expected the ${channels} of the model: give its data as an array of ${dtype}`);
  const size = pixels * channels;
  if (room.buffer?.length !== size) room.buffer = new ARRAYS[dtype](size);
  const values = room.buffer;
  if (channels === 3)
    for (let from = 0, to = 0; to < size; from += 4) {
      values[to++] = rgba[from];
      values[to++] = rgba[from + 1];
      values[to++] = rgba[from + 2];
    }
  else
    for (let from = 0, to = 0; to < size; from += 4)
      values[to++] = (19595 * rgba[from] + 38470 * rgba[from + 1] + 7471 * rgba[from + 2] + 0x8000) >> 16;
  if (dtype === "uint16") for (let i = 0; i < size; i++) values[i] *= 257;
  if (dtype === "float32") {
    const top = Math.fround(255 * scale);
    for (let i = 0; i < size; i++) values[i] /= top;
  }
  return values;
}
