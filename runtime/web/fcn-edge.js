// @ts-check
/**
 * Runs an fcn-edge model in a browser or in Node.js.
 *
 *     import * as ort from "onnxruntime-web";
 *     import { Segmenter } from "./fcn-edge.js";
 *     const segmenter = await Segmenter.open("corridor.onnx", { ort });
 *     const { labels } = await segmenter.run(context.getImageData(0, 0, width, height));
 *
 * The file's seal is checked before onnxruntime sees it, and its self-test runs on the device before the
 * first image, as in Python: a device whose labels differ from PyTorch's is refused.
 */

import { InputError, ModelError, ProviderError, VerificationError, oneLine } from "./errors.js";
import { toPixels } from "./image.js";
import { readModel } from "./model.js";
import { requirePassed, runSelfTest } from "./selftest.js";

export { FcnEdgeError, InputError, ModelError, ProviderError, VerificationError } from "./errors.js";

/**
 * @typedef {import("./model.js").Card} Card
 * @typedef {import("./model.js").ClassInfo} ClassInfo
 * @typedef {import("./image.js").Image} Image
 * @typedef {import("./selftest.js").SelfTestReport} SelfTestReport
 * @typedef {{
 *   ort: any,
 *   device?: "auto" | "webgpu" | "wasm" | "cpu",
 *   outputs?: string[] | ((offered: readonly string[]) => string[]),
 *   maxPixels?: number,
 *   threads?: number,
 *   name?: string,
 * }} Options
 * @typedef {{
 *   labels: Uint8Array | Uint16Array, width: number, height: number, milliseconds: number,
 *   confidence?: Float32Array, probabilities?: Float32Array, logits?: Float32Array,
 * }} Segmentation
 */

const MAX_PIXELS = 16_000_000; // WebAssembly has 4 GB of memory, and a network takes 150 bytes a pixel or more
const NUMBERS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };

/** A model, opened on a device and ready for images. Calls that overlap run one after the other. */
export class Segmenter {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {any} */
  #session;
  #ort;
  #maxPixels;
  #outputs;
  /** @type {{buffer?: import("./selftest.js").Pixels}} */
  #room = {};

  /**
   * Use `Segmenter.open`.
   * @param {import("./model.js").Model} model @param {any} session @param {Options} options
   * @param {string} device @param {string} why
   */
  constructor(model, session, options, device, why) {
    this.#session = session;
    this.#ort = options.ort;
    this.#maxPixels = options.maxPixels ?? MAX_PIXELS;
    /** @type {Card} What the model is: classes, input, license. */
    this.card = model.card;
    /** The SHA-256 of the file, as `sha256sum` prints it. */
    this.digest = model.digest;
    /** "webgpu", "wasm", or "cpu" in Node.js. */
    this.device = device;
    /** Why this device was chosen. */
    this.why = why;
    this.#outputs = wanted(options.outputs, session.outputNames);
    /** @type {SelfTestReport | null} Of this device; it passed. */
    this.selfTest = null;
  }

  /**
   * Open a model, check its seal, and run its self-test on the device.
   * @param {string | URL | Blob | ArrayBuffer | Uint8Array<ArrayBuffer>} source an address, or the file's bytes
   * @param {Options} options
   *   ort: onnxruntime-web or onnxruntime-node, imported;
   *   device: "auto" takes WebGPU where it starts and passes the self-test, else the CPU;
   *   outputs: which outputs to compute, `labels` always; all of the file's if not given. A function is given the
   *   names that the file offers and returns those to compute;
   *   maxPixels: refuse larger images, 16 million if not given;
   *   threads: on the CPU; a page needs the headers of cross-origin isolation for more than one;
   *   name: what messages call the model.
   * @throws {ModelError} missing, not ours, damaged, or onnxruntime cannot load it
   * @throws {ProviderError} the device is not available, or does not start
   * @throws {VerificationError} the self-test failed on this device
   * @returns {Promise<Segmenter>}
   */
  static async open(source, options) {
    const name = options.name ?? (typeof source === "string" || source instanceof URL ? lastPart(source) : "the model");
    const model = await readModel(await bytesOf(source, name), name);
    const asked = options.device ?? "auto";
    if (asked !== "auto") return started(model, options, asked, "requested");
    const cpu = inNode() ? "cpu" : "wasm";
    let why = "auto: there is no WebGPU here";
    if (await hasWebGpu()) {
      try {
        return await started(model, options, "webgpu", "auto: WebGPU starts");
      } catch (error) {
        if (!(error instanceof ProviderError || error instanceof VerificationError)) throw error;
        why = `auto: ${error.message}`;
      }
    }
    return started(model, options, cpu, why);
  }

  /** The outputs that are computed. */
  get outputs() {
    return [...this.#outputs];
  }

  /**
   * Segment one image.
   * @param {Image} image `ImageData` of a canvas, whose RGBA is converted to what the model takes; or `data` of the
   *   model's type with its channels interleaved, `width` and `height`
   * @returns {Promise<Segmentation>} each array has height * width values, row by row
   * @throws {InputError} the image cannot be segmented as it is
   * @throws {ModelError} onnxruntime failed, or its results break the contract
   */
  async run(image) {
    return this.#next(async () => {
      const pixels = toPixels(image, this.card, this.#maxPixels, this.#room);
      const { width, height } = image;
      const start = performance.now();
      const values = await this.#values(pixels, [1, height, width], this.#outputs);
      const milliseconds = performance.now() - start;
      return /** @type {Segmentation} */ ({ ...values, width, height, milliseconds });
    });
  }

  /** Free the session. Running calls finish. */
  async close() {
    await this.#next(async () => {
      await this.#session?.release?.();
      this.#session = null;
    });
  }

  /**
   * Run the self-test. `open` did so already.
   * @param {import("./model.js").Model} model
   */
  async runSelfTest(model) {
    this.selfTest = await runSelfTest(this.device, model, async (image, size) => {
      const { labels } = await this.#values(image, size, ["labels"]);
      return /** @type {Uint8Array} */ (labels);
    });
    requirePassed(this.selfTest);
  }

  /**
   * Results by name, each checked against the contract.
   * @param {import("./selftest.js").Pixels} pixels @param {[number, number, number]} size
   * @param {string[]} outputs
   */
  async #values(pixels, size, outputs) {
    if (!this.#session) throw new InputError("the segmenter was closed: open a new one");
    const { channels, dtype } = this.card.input;
    let results;
    try {
      const tensor = new this.#ort.Tensor(dtype, pixels, [...size, channels]);
      results = await this.#session.run({ image: tensor }, outputs);
    } catch (error) {
      const kind = this.device === "webgpu" ? ProviderError : ModelError;
      throw new kind(`onnxruntime failed on ${this.device} with an image of ${[...size, channels].join("x")} ${dtype}: ${oneLine(error)}`);
    }
    /** @type {Record<string, Uint8Array | Uint16Array | Float32Array>} */
    const values = {};
    for (const name of outputs) {
      checkResult(name, results[name], size, this.card);
      values[name] = results[name].data;
    }
    return values;
  }

  /**
   * Run something after everything that was asked for before, whether that failed or not.
   * @template T @param {() => Promise<T>} action @returns {Promise<T>}
   */
  #next(action) {
    const result = this.#last.then(action);
    this.#last = result.catch(() => {});
    return result;
  }
}

/**
 * @param {import("./model.js").Model} model @param {Options} options @param {string} device
 * @param {string} why
 */
async function started(model, options, device, why) {
  // onnxruntime-node for Linux sends telemetry unless this is set; =0 in the environment keeps it.
  if (inNode()) /** @type {any} */ (globalThis).process.env.ORT_DISABLE_TELEMETRY ??= "1";
  const { lowering, precision } = model.card;
  const threads = options.threads === undefined ? {} : { intraOpNumThreads: options.threads };
  let session;
  try {
    session = await options.ort.InferenceSession.create(model.bytes, {
      executionProviders: [device],
      graphOptimizationLevel: "all",
      enableMemPattern: false,
      logSeverityLevel: 4,
      interOpNumThreads: 1,
      ...threads,
      // The options that the Python runtime sets, see its session.py.
      extra: {
        session: {
          intra_op: { allow_spinning: "0" },
          inter_op: { allow_spinning: "0" },
          force_spinning_stop: "0",
          ...(inNode() ? { model_external_initializers_file_folder_path: "/dev/null/none" } : {}),
          // Which processor this is cannot be known here: 8-bit products must not saturate.
          // Weights of 8 bits are unpacked once, not in each frame.
          ...(precision === "int8-weights" ? { disable_quant_qdq: "1" } : {}),
          ...(precision === "int8" && lowering?.target !== "x86" ? { x64quantprecision: "1" } : {}),
        },
        optimization: { disable_specified_optimizers: "WeightBiasQuantization" },
      },
    });
  } catch (error) {
    if (device === "webgpu")
      throw new ProviderError(`the device 'webgpu' is in this onnxruntime but does not start: ${oneLine(error)}`);
    throw new ModelError(`onnxruntime cannot load the model: ${oneLine(error)}`);
  }
  const segmenter = new Segmenter(model, session, options, device, why);
  try {
    await segmenter.runSelfTest(model);
  } catch (error) {
    await segmenter.close();
    throw error;
  }
  return segmenter;
}

/**
 * @param {string} name @param {any} tensor @param {[number, number, number]} size @param {Card} card
 * @throws {ModelError} another shape or type than the contract's, or a label that is not a class
 */
function checkResult(name, tensor, [batch, height, width], card) {
  const count = card.classes.length;
  const dtype = name !== "labels" ? "float32" : card.unlabeled === 255 ? "uint8" : "uint16";
  const flat = name === "labels" || name === "confidence";
  const planes = count === 2 && tensor?.dims[1] === 1 ? 1 : count;
  const dims = flat ? [batch, height, width] : [batch, planes, height, width];
  if (!(tensor?.data instanceof NUMBERS[dtype]) || tensor.dims.join() !== dims.join())
    throw new ModelError(`the model gave ${name} of ${tensor?.dims.join("x")} ${tensor?.type} for an image of ${batch}x${height}x${width}, which breaks the contract: export again with \`fcn-edge export\``);
  if (name !== "labels") return;
  for (const label of tensor.data)
    if (label >= count && label !== card.unlabeled)
      throw new ModelError(`the model gave labels such as ${label}, it has ${count} classes: export again with \`fcn-edge export\``);
}

/** @param {Options["outputs"]} asked @param {readonly string[]} offered */
function wanted(asked, offered) {
  const outputs = typeof asked === "function" ? asked(offered) : asked;
  if (!outputs) return [...offered];
  const unknown = outputs.filter((name) => !offered.includes(name));
  if (unknown.length)
    throw new InputError(`the model has no outputs ${unknown.join(", ")}, it has ${offered.join(", ")}: export it again with --outputs`);
  return ["labels", ...outputs.filter((name) => name !== "labels")];
}

/** @param {string | URL | Blob | ArrayBuffer | Uint8Array<ArrayBuffer>} source @param {string} name */
async function bytesOf(source, name) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  let response;
  try {
    response = await fetch(source);
  } catch (error) {
    throw new ModelError(`the model file ${name} cannot be fetched (${oneLine(error)}): check its address, and the network`);
  }
  if (!response.ok) throw new ModelError(`there is no model file ${name}: the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string | URL} address */
function lastPart(address) {
  return String(address).split(/[?#]/)[0].split("/").pop() || "the model";
}

function inNode() {
  return Boolean(/** @type {any} */ (globalThis).process?.versions?.node);
}

/** Whether the browser gives a GPU adapter: having the interface is not enough. */
async function hasWebGpu() {
  try {
    return Boolean(await /** @type {any} */ (globalThis.navigator)?.gpu?.requestAdapter());
  } catch {
    return false;
  }
}
