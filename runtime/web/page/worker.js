// @ts-check
/** Runs the model away from the page, which stays responsive. One message in, one message out, by its number. */

import { FcnEdgeError, ProviderError, Segmenter, VerificationError } from "../fcn-edge.js";

/** @type {Segmenter} */
let segmenter;

const actions = {
  /**
   * On the GPU where there is one that passes the self-test, else on the CPU, with the build that is made for it.
   * @param {{model: string, device: "auto" | "webgpu" | "wasm"}} asked
   */
  async open({ model, device }) {
    const start = performance.now();
    let why = device === "auto" ? await noGpu() : "requested";
    if (device === "webgpu" || why === "") {
      try {
        segmenter = await started("ort.webgpu.min.mjs", model, "webgpu");
        why ||= "auto: WebGPU starts";
      } catch (error) {
        if (device === "webgpu" || !(error instanceof ProviderError || error instanceof VerificationError)) throw error;
        why = `auto: ${error.message}`;
      }
    }
    segmenter ??= await started("ort.wasm.min.mjs", model, "wasm");
    const { card, digest, selfTest } = segmenter;
    return { card, digest, selfTest, why, device: segmenter.device, milliseconds: performance.now() - start };
  },
  /** @param {{image: {data: Uint8ClampedArray, width: number, height: number}}} asked */
  async run({ image }) {
    return segmenter.run(image);
  },
};

/**
 * @param {string} build of onnxruntime-web @param {string} model @param {"webgpu" | "wasm"} device
 */
async function started(build, model, device) {
  const ort = await import(new URL(`../onnxruntime/${build}`, import.meta.url).href);
  ort.env.wasm.wasmPaths = new URL("../onnxruntime/", import.meta.url).href;
  ort.env.logLevel = "fatal"; // the text of an error is in the exception
  const offered = ["labels", "confidence"];
  return Segmenter.open(model, { ort, device, outputs: (names) => names.filter((name) => offered.includes(name)) });
}

/** Why the GPU is not tried; empty if it is. */
async function noGpu() {
  const adapter = await /** @type {any} */ (navigator).gpu?.requestAdapter().catch(() => null);
  if (!adapter) return "auto: there is no WebGPU here";
  const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter;
  return software ? "auto: WebGPU runs in software here, without a GPU" : "";
}

self.onmessage = async ({ data: { number, action, ...asked } }) => {
  try {
    const result = await /** @type {any} */ (actions)[action](asked);
    const buffers = [result.labels?.buffer, result.confidence?.buffer].filter(Boolean);
    /** @type {any} */ (self).postMessage({ number, result }, buffers);
  } catch (error) {
    const ours = error instanceof FcnEdgeError;
    const message = ours ? error.message : `this is a bug in fcn-edge: ${error instanceof Error ? error.stack : error}`;
    self.postMessage({ number, error: message });
  }
};
