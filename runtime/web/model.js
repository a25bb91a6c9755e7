// @ts-check
/**
 * A model file, checked before onnxruntime sees it: its seal, then its card and self-test, which are JSON in
 * the file's metadata. The rules and the words are those of the Python runtime. Python follows the graph as
 * well, and limits its operators and what they make: open files of unknown origin there first.
 */

import { ModelError } from "./errors.js";
import { sha256 } from "./sha256.js";

/**
 * @typedef {{id: number, name: string, color: [number, number, number]}} ClassInfo
 * @typedef {{
 *   name: string, description: string, license: string, classes: ClassInfo[], unlabeled: number,
 *   precision: string, lowering: null | {target: string}, reject?: number, net?: {border?: string},
 *   input: {channels: number, dtype: "uint8" | "uint16" | "float32", scale: number},
 *   geometry: {smallest_size: number, largest_size: null | [number, number]},
 * }} Card
 * @typedef {{
 *   batch: number, height: number, width: number, seed: number, input_sha256: string, labels: string,
 * }} GoldenCase
 * @typedef {{dtype: "uint8" | "uint16", cases: GoldenCase[]}} Golden
 * @typedef {{bytes: Uint8Array<ArrayBuffer>, digest: string, card: Card, golden: Golden}} Model
 */

const SEAL_KEY = "fcn_edge.sha256";
const SEAL_LENGTH = 85;
const MAX_BYTES = 2 ** 31 - 1; // protobuf, and with it every ONNX reader, ends at 2 GiB
const MAX_JSON = 4 << 20;
const MAX_SIDE = 4096; // of the self-test's images
const MAX_CASES = 16;
const MAX_GOLDEN_PIXELS = 1 << 24;
const METADATA_PROPS = 14; // of ModelProto

const text = (/** @type {string} */ string) => new TextEncoder().encode(string);
// The record of `metadata_props` that ends the file, up to its 64 digits.
const SEAL_PREFIX = new Uint8Array([0x72, 83, 0x0a, 15, ...text(SEAL_KEY), 0x12, 64]);

/**
 * Check a file's seal, and read its card and self-test.
 * @param {Uint8Array<ArrayBuffer>} bytes the whole file
 * @param {string} name what messages call it
 * @returns {Promise<Model>} with the digest that `sha256sum` prints
 * @throws {ModelError}
 */
export async function readModel(bytes, name = "the model") {
  await checkSeal(bytes, name);
  const metadata = readMetadata(bytes, name);
  const card = readCard(parsed(metadata, "fcn_edge.card", "the card", name));
  const golden = readGolden(parsed(metadata, "fcn_edge.golden", "the model's self-test", name), card);
  return { bytes, digest: await sha256(bytes), card, golden };
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {string} name */
async function checkSeal(bytes, name) {
  if (bytes.length > MAX_BYTES)
    throw new ModelError(`${name} has ${bytes.length} bytes, an ONNX file has at most ${MAX_BYTES}`);
  if (bytes.length <= SEAL_LENGTH)
    throw new ModelError(`${name} has ${bytes.length} bytes, too few for a model: copy or export it again`);
  const end = bytes.length - SEAL_LENGTH;
  const changed = `${name} was changed after export, or is damaged (its seal does not match): export again, or \`fcn-edge verify --reseal\``;
  const digits = new TextDecoder().decode(bytes.subarray(end + SEAL_PREFIX.length));
  if (!startsWith(bytes, SEAL_PREFIX, end) || !/^[0-9a-f]{64}$/.test(digits)) {
    if (holds(bytes, text(SEAL_KEY))) throw new ModelError(changed);
    throw new ModelError(
      `${name} is not sealed: expected a model that \`fcn-edge export\` wrote, whole; export it, or copy it again if the copy was cut`,
    );
  }
  if ((await sha256(bytes.subarray(0, end))) !== digits) throw new ModelError(changed);
}

/** @param {Uint8Array} bytes @param {Uint8Array} part @param {number} at */
function startsWith(bytes, part, at) {
  return part.every((byte, i) => bytes[at + i] === byte);
}

/** @param {Uint8Array} bytes @param {Uint8Array} part */
function holds(bytes, part) {
  for (let at = bytes.indexOf(part[0]); at >= 0; at = bytes.indexOf(part[0], at + 1))
    if (startsWith(bytes, part, at)) return true;
  return false;
}

/**
 * The texts of `metadata_props`; the graph is skipped.
 * @param {Uint8Array} bytes @param {string} name
 * @returns {Map<string, string>}
 */
function readMetadata(bytes, name) {
  const entries = new Map();
  for (const [number, entry] of fieldsOf(bytes, name)) {
    if (number !== METADATA_PROPS) continue;
    const parts = new Map([...fieldsOf(entry, name)].map(([key, part]) => [key, new TextDecoder().decode(part)]));
    entries.set(parts.get(1) ?? "", parts.get(2) ?? "");
  }
  return entries;
}

/**
 * Every field of a protobuf message that has a length: its number and its bytes.
 * @param {Uint8Array} bytes @param {string} name
 * @returns {Generator<[number, Uint8Array]>}
 */
function* fieldsOf(bytes, name) {
  let at = 0;
  const damaged = () => new ModelError(`${name} is not an ONNX model, or it is damaged: export again`);
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw damaged();
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw damaged();
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (length > bytes.length - at) throw damaged();
      yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
      at += length;
    } else throw damaged();
  }
  if (at !== bytes.length) throw damaged();
}

/**
 * @param {Map<string, string>} metadata @param {string} key @param {string} subject @param {string} name
 * @returns {any}
 */
function parsed(metadata, key, subject, name) {
  const json = metadata.get(key);
  if (json === undefined)
    throw new ModelError(`${name} has no '${key}' in its metadata: expected a model \`fcn-edge export\` wrote`);
  if (json.length > MAX_JSON)
    throw new ModelError(`${subject} has ${json.length} bytes, expected at most ${MAX_JSON}: export again`);
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new ModelError(`${subject} is not JSON (${error instanceof Error ? error.message : error}): export again`);
  }
}

/**
 * Raise for a field that is not as expected.
 * @param {boolean} good @param {string} subject @param {string} field @param {unknown} got
 * @param {string} expected
 */
function expect(good, subject, field, got, expected) {
  if (good) return;
  const shown = typeof got === "string" ? `'${got}'` : (JSON.stringify(got) ?? "missing");
  const short = shown.length <= 60 ? shown : `${shown.slice(0, 57)}...`;
  throw new ModelError(`${subject}: field '${field}' is ${short}, expected ${expected}: export again`);
}

const whole = (/** @type {unknown} */ value, low = 0, high = 2 ** 31 - 1) =>
  Number.isInteger(value) && Number(value) >= low && Number(value) <= high;

/** The fields that are used here. @param {any} card @returns {Card} */
function readCard(card) {
  const check = (/** @type {boolean} */ good, /** @type {string} */ field, /** @type {unknown} */ got, /** @type {string} */ expected) =>
    expect(good, "the card", field, got, expected);
  check(card?.schema === "fcn-edge-card/1", "schema", card?.schema, "'fcn-edge-card/1' (a newer one needs a newer fcn-edge)");
  for (const key of ["name", "description", "license", "precision"])
    check(typeof card[key] === "string", key, card[key], "text");
  const { classes, input, geometry, lowering } = card;
  check(Array.isArray(classes) && whole(classes.length, 2, 65535), "classes", classes, "a list of 2 to 65535 classes");
  classes.forEach((/** @type {any} */ entry, /** @type {number} */ i) => {
    check(entry?.id === i, `classes[${i}].id`, entry?.id, `${i}`);
    check(typeof entry.name === "string" && entry.name !== "", `classes[${i}].name`, entry.name, "text");
    const color = Array.isArray(entry.color) && entry.color.length === 3;
    check(color && entry.color.every((/** @type {unknown} */ v) => whole(v, 0, 255)), `classes[${i}].color`, entry.color, "a list of 3 numbers: red, green, blue");
  });
  const unlabeled = classes.length <= 255 ? 255 : 65535;
  check(card.unlabeled === unlabeled, "unlabeled", card.unlabeled, `${unlabeled}`);
  check(whole(input?.channels, 1, 4096), "input.channels", input?.channels, "a whole number from 1 to 4096");
  check(["uint8", "uint16", "float32"].includes(input.dtype), "input.dtype", input.dtype, "one of uint8, uint16, float32");
  check(Number.isFinite(input.scale) && input.scale > 0, "input.scale", input.scale, "a finite number above 0");
  check(whole(geometry?.smallest_size, 1), "geometry.smallest_size", geometry?.smallest_size, "a whole number");
  const largest = geometry.largest_size;
  const pair = Array.isArray(largest) && largest.length === 2 && largest.every((side) => whole(side, 1));
  check(largest === null || pair, "geometry.largest_size", largest, "two whole numbers or null");
  const { reject } = card;
  check(reject === undefined || (Number.isFinite(reject) && reject >= 0 && reject <= 1), "reject", reject, "a number from 0 to 1");
  check(lowering === null || typeof lowering === "object", "lowering", lowering, "an object or null");
  return card;
}

/** @param {any} golden @param {Card} card @returns {Golden} */
function readGolden(golden, card) {
  const check = (/** @type {boolean} */ good, /** @type {string} */ field, /** @type {unknown} */ got, /** @type {string} */ expected) =>
    expect(good, "the model's self-test", field, got, expected);
  check(golden?.schema === "fcn-edge-golden/1", "schema", golden?.schema, "'fcn-edge-golden/1' (a newer one needs a newer fcn-edge)");
  const dtype = card.unlabeled === 255 ? "uint8" : "uint16";
  check(golden.dtype === dtype, "dtype", golden.dtype, `${dtype} for the card's ${card.classes.length} classes`);
  const { cases } = golden;
  check(Array.isArray(cases) && whole(cases.length, 1, MAX_CASES), "cases", cases, `a list of 1 to ${MAX_CASES} cases`);
  let pixels = 0;
  cases.forEach((/** @type {any} */ entry, /** @type {number} */ i) => {
    for (const side of ["batch", "height", "width"])
      check(whole(entry?.[side], 1, MAX_SIDE), `cases[${i}].${side}`, entry?.[side], `a whole number from 1 to ${MAX_SIDE}`);
    pixels += entry.batch * entry.height * entry.width;
    check(pixels <= MAX_GOLDEN_PIXELS, `cases[${i}]`, pixels, `at most ${MAX_GOLDEN_PIXELS} pixels in all`);
    check(whole(entry.seed, 1), `cases[${i}].seed`, entry.seed, "a whole number above 0");
    check(/^[0-9a-f]{64}$/.test(entry.input_sha256), `cases[${i}].input_sha256`, entry.input_sha256, "64 lower-case hex digits");
    check(typeof entry.labels === "string", `cases[${i}].labels`, entry.labels, "text");
  });
  return golden;
}
