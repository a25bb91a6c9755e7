// What runtime/web reads of model files, without onnxruntime: one line of JSON for each.
import { readFileSync } from "node:fs";
import { readModel } from "../../runtime/web/model.js";
import { pattern } from "../../runtime/web/selftest.js";
import { sha256, sha256InScript } from "../../runtime/web/sha256.js";

const bytesOf = (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

for (const path of process.argv.slice(2)) {
  const bytes = new Uint8Array(readFileSync(path));
  let facts;
  try {
    const { digest, card, golden } = await readModel(bytes, path);
    const images = golden.cases.map((c) => pattern(c.batch, c.height, c.width, c.seed, card.input));
    const digests = await Promise.all(images.map((image) => sha256(bytesOf(image))));
    facts = { digest, script: sha256InScript(bytes), card, images: digests };
  } catch (error) {
    facts = { error: error.name, message: error.message };
  }
  console.log(JSON.stringify(facts));
}
