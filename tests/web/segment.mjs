// Segments images with runtime/web on onnxruntime-node, as REQUEST.json says; prints one line of JSON.
import { readFileSync, writeFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { Segmenter } from "../../runtime/web/fcn-edge.js";

const ARRAYS = { rgba: Uint8ClampedArray, uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const failure = (error) => ({ error: error.name, message: error.message });

let answer;
try {
  const segmenter = await Segmenter.open(new Uint8Array(readFileSync(request.model)), { ort, ...request.options });
  // All at once: calls that overlap run one after the other.
  const results = await Promise.allSettled(
    request.images.map(async ({ file, kind, width, height }) => {
      const bytes = new Uint8Array(readFileSync(file));
      return segmenter.run({ data: new ARRAYS[kind](bytes.buffer), width, height });
    }),
  );
  answer = {
    device: segmenter.device,
    outputs: segmenter.outputs,
    selfTest: segmenter.selfTest,
    results: results.map(({ reason, value }, i) => {
      if (reason) return failure(reason);
      const labels = `${request.images[i].file}.labels`;
      writeFileSync(labels, value.labels);
      return { labels, confidence: value.confidence?.length ?? null };
    }),
  };
} catch (error) {
  answer = failure(error);
}
console.log(JSON.stringify(answer));
