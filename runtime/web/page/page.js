// @ts-check
/** The page: pictures in, labels drawn, classes named. The model runs in worker.js. */

import { checkSize } from "../image.js";
import { Drawing, contextOf, labelsPicture } from "./drawing.js";

/** @typedef {import("../fcn-edge.js").Card} Card */
/** @typedef {import("../fcn-edge.js").Segmentation} Segmentation */

const MAX_PIXELS = 16_000_000;
const DEVICES = { webgpu: "GPU (WebGPU)", wasm: "CPU (WebAssembly)" };
const EFFECTS = ["blur", "replace", "cutout"];

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id));
const view = /** @type {HTMLCanvasElement} */ ($("view"));
const input = document.createElement("canvas"); // what is being labeled
const picture = document.createElement("canvas"); // what was labeled last
const drawing = new Drawing();

/** @type {Card} */
let card;
/** @type {Segmentation | null} */
let result = null;
/** Classes that are drawn over the picture, and classes that effects keep. */
const chosen = { shown: new Set(), kept: new Set() };
/** @type {MediaStream | null} */
let stream = null;
let asked = 0; // pictures so far: the answer to an older one is not shown
let cursor = { x: 0, y: 0 };

// ---- The worker ----

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
/** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let messages = 0;

worker.onmessage = (/** @type {MessageEvent} */ { data: { number, result, error } }) => {
  const { resolve, reject } = waiting.get(number) ?? {};
  waiting.delete(number);
  if (error === undefined) resolve?.(result);
  else reject?.(new Error(error));
};
worker.onerror = (/** @type {ErrorEvent} */ event) => {
  event.preventDefault();
  fail(new Error(`the part of this page that runs the model did not start (${event.message ?? "blocked"}): reload the page`));
};

/** @param {object} message @param {Transferable[]} transfer @returns {Promise<any>} */
function ask(message, transfer = []) {
  const number = ++messages;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, ...message }, transfer);
  });
}

// ---- Opening the model ----

async function open() {
  const device = new URLSearchParams(location.search).get("device") ?? "auto";
  const opened = await ask({ action: "open", model: new URL("model.onnx", location.href).href, device });
  card = opened.card;
  const { cases, milliseconds, blind } = opened.selfTest;
  const decided = cases.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.decided, 0);
  fact("Device", `${DEVICES[/** @type {"wasm"} */ (opened.device)]}; ${opened.why}`);
  fact("Self-test", `passed: ${decided.toLocaleString("en")} pixels as PyTorch decided them, in ${Math.round(milliseconds)} ms${blind ? "; blind, it sees one class" : ""}`);
  fact("Cold start", `${(opened.milliseconds / 1000).toFixed(2)} s`);
  fact("SHA-256", `${opened.digest.slice(0, 16)}…`);
  makeLegend();
  $("loading").hidden = true;
  $("sources").hidden = false;
}

/** @param {string} name @param {string} value */
function fact(name, value) {
  const id = `fact-${name.replace(/\W/g, "-")}`;
  if (!document.getElementById(id)) {
    const term = Object.assign(document.createElement("dt"), { textContent: name });
    $("facts").append(term, Object.assign(document.createElement("dd"), { id }));
  }
  $(id).textContent = value;
}

/** @param {unknown} error */
function fail(error) {
  const message = error instanceof Error ? error.message : String(error);
  $("loading").hidden = true;
  $("error").textContent = message.split(/\s+/).join(" ");
  $("error").hidden = false;
}

// ---- Pictures ----

/** @param {Blob} blob */
async function openPicture(blob) {
  stopCamera();
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`the browser cannot read this picture, expected PNG, JPEG or WebP of at most ${MAX_PIXELS / 1e6} million pixels: convert it, or make it smaller`);
  }
  await segment(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
}

/**
 * Label what can be drawn, and show it.
 * @param {CanvasImageSource} source @param {number} width @param {number} height
 */
async function segment(source, width, height) {
  checkSize(width, height, card, MAX_PIXELS);
  const number = ++asked;
  Object.assign(input, { width, height });
  const context = contextOf(input, { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  if (!stream) $("busy").textContent = `Labeling ${width} x ${height} pixels …`;
  const answer = await ask({ action: "run", image: { data, width, height } }, [data.buffer]).finally(() => {
    if (number === asked) $("busy").textContent = "";
  });
  if (number !== asked) return;
  result = answer;
  Object.assign(picture, { width, height });
  contextOf(picture).drawImage(input, 0, 0);
  fact("Picture", `${width} x ${height} pixels, ${answer.milliseconds.toFixed(answer.milliseconds < 10 ? 1 : 0)} ms`);
  $("error").hidden = true;
  $("work").hidden = false;
  showShares();
  redraw();
}

async function startCamera() {
  if (!navigator.mediaDevices)
    throw new Error("browsers give the camera to secure pages alone: open this one by https, or from localhost");
  const size = { width: { ideal: 640 }, height: { ideal: 480 } };
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: size });
  } catch (error) {
    throw new Error(`the camera does not start (${error instanceof Error ? error.message : error}): allow it, or connect one`);
  }
  $("camera").setAttribute("aria-pressed", "true");
  const video = document.createElement("video");
  Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  const mine = stream;
  let last = performance.now();
  while (stream === mine) {
    await segment(video, video.videoWidth, video.videoHeight);
    const now = performance.now();
    fact("Camera", `${(1000 / (now - last)).toFixed(1)} frames a second`);
    last = now;
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera").setAttribute("aria-pressed", "false");
}

// ---- Drawing ----

function redraw() {
  if (!result) return;
  const show = /** @type {HTMLSelectElement} */ ($("show")).value;
  const effect = EFFECTS.includes(show);
  $("opacity-row").hidden = show !== "overlay";
  $("color-row").hidden = show !== "replace";
  $("legend-title").textContent = effect ? "Classes that stay" : "Classes";
  drawing.draw(view, picture, result, card.classes, {
    show,
    opacity: Number(/** @type {HTMLInputElement} */ ($("opacity")).value) / 100,
    color: /** @type {HTMLInputElement} */ ($("color")).value,
    chosen: effect ? chosen.kept : chosen.shown,
  });
}

function makeLegend() {
  for (const { id, name, color } of card.classes) {
    chosen.shown.add(id);
    if (id > 0) chosen.kept.add(id); // in most lists the first is what is behind
    const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({ width: "100%", height: "100%", fill: `rgb(${color})` })) square.setAttribute(key, value);
    swatch.setAttribute("aria-hidden", "true");
    swatch.append(square);
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.dataset.id = String(id);
    box.onchange = () => {
      const set = chosenNow();
      if (box.checked) set.add(id);
      else set.delete(id);
      redraw();
    };
    const label = document.createElement("label");
    label.append(box, swatch, span("name", name), span("share", ""));
    const item = document.createElement("li");
    item.append(label);
    $("legend").append(item);
  }
}

function chosenNow() {
  return EFFECTS.includes(/** @type {HTMLSelectElement} */ ($("show")).value) ? chosen.kept : chosen.shown;
}

/** @param {string} className @param {string} textContent */
function span(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

/** Each class's share of the picture, the largest first. */
function showShares() {
  if (!result) return;
  const counts = new Uint32Array(65536);
  for (const label of result.labels) counts[label]++;
  const items = /** @type {HTMLElement[]} */ ([...$("legend").children]);
  const idOf = (/** @type {HTMLElement} */ item) => Number(item.querySelector("input")?.dataset.id);
  items.sort((a, b) => counts[idOf(b)] - counts[idOf(a)] || idOf(a) - idOf(b));
  for (const item of items) {
    const count = counts[idOf(item)];
    const share = /** @type {HTMLElement} */ (item.querySelector(".share"));
    const percent = (100 * count) / (result.labels.length || 1);
    share.textContent = count === 0 ? "–" : percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
    item.classList.toggle("absent", count === 0);
  }
  if (!stream) $("legend").append(...items);
  const named = items.slice(0, 3).map((item) => `${item.querySelector(".name")?.textContent} ${item.querySelector(".share")?.textContent}`);
  view.setAttribute("aria-label", `Picture with labels: ${named.join(", ")}`);
}

// ---- Naming the class of a pixel ----

/** @param {number} x @param {number} y */
function nameAt(x, y) {
  if (!result) return "";
  const label = result.labels[y * result.width + x];
  const name = card.classes[label]?.name ?? "unlabeled";
  const { confidence } = result;
  return confidence ? `${name}, ${Math.round(100 * confidence[y * result.width + x])} %` : name;
}

/** @param {number} x @param {number} y */
function point(x, y) {
  if (!result) return;
  cursor = { x: Math.min(Math.max(x, 0), result.width - 1), y: Math.min(Math.max(y, 0), result.height - 1) };
  const pointer = $("pointer");
  pointer.textContent = nameAt(cursor.x, cursor.y);
  pointer.hidden = false;
  const left = (cursor.x / result.width) * view.clientWidth;
  pointer.style.left = `${Math.max(Math.min(left, view.clientWidth - pointer.offsetWidth - 12), 0)}px`;
  pointer.style.top = `${(cursor.y / result.height) * view.clientHeight}px`;
}

view.addEventListener("pointermove", (event) => {
  if (!result) return;
  const x = Math.floor((event.offsetX / view.clientWidth) * result.width);
  point(x, Math.floor((event.offsetY / view.clientHeight) * result.height));
});
view.addEventListener("pointerleave", () => ($("pointer").hidden = true));
view.addEventListener("blur", () => ($("pointer").hidden = true));
view.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const step = steps[/** @type {"ArrowUp"} */ (event.key)];
  if (!step || !result) return;
  event.preventDefault();
  const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(result.width, result.height) / 40));
  point(cursor.x + far * step[0], cursor.y + far * step[1]);
  $("spoken").textContent = `${nameAt(cursor.x, cursor.y)}, row ${cursor.y}, column ${cursor.x}`;
});

// ---- Controls ----

/** Show in one line what went wrong in an action. @param {() => Promise<unknown>} action */
function trying(action) {
  return () => action().catch(fail);
}

const file = /** @type {HTMLInputElement} */ ($("file"));
file.addEventListener("change", trying(async () => {
  const [first] = file.files ?? [];
  file.value = ""; // the same file may be opened again
  if (first) await openPicture(first);
}));
for (const button of document.querySelectorAll("button[data-sample]"))
  button.addEventListener("click", trying(async () => {
    const address = /** @type {HTMLElement} */ (button).dataset.sample ?? "";
    const response = await fetch(address);
    if (!response.ok) throw new Error(`the sample ${address} is not there: the server answered ${response.status}`);
    await openPicture(await response.blob());
  }));
$("camera").addEventListener("click", () => {
  if (stream) stopCamera();
  else startCamera().catch((error) => (stopCamera(), fail(error)));
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("sources").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
document.addEventListener("drop", ({ dataTransfer }) => {
  const [first] = dataTransfer?.files ?? [];
  if (first && card) openPicture(first).catch(fail);
});
$("show").addEventListener("change", () => {
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ ($("legend").querySelectorAll("input")))
    box.checked = chosenNow().has(Number(box.dataset.id));
  redraw();
});
for (const id of ["opacity", "color"]) $(id).addEventListener("input", redraw);
$("save-picture").addEventListener("click", () => save(view, "picture.png"));
$("save-labels").addEventListener("click", () => result && save(labelsPicture(result), "labels.png"));

/** @param {HTMLCanvasElement} canvas @param {string} name */
function save(canvas, name) {
  canvas.toBlob((blob) => {
    if (!blob) return fail(new Error("the picture could not be saved: it is too large for this browser"));
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

open().catch(fail);
