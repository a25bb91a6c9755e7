// @ts-check
/** Draws labels, overlays and effects on canvases. Canvases of the last picture are used again. */

/** @typedef {{labels: Uint8Array | Uint16Array, confidence?: Float32Array, width: number, height: number}} Result */
/** @typedef {import("../fcn-edge.js").ClassInfo} ClassInfo */

const OPAQUE = 0xff000000;
const BLUR_SHARE = 0.015; // of the longer side
const SATURATE = 5; // times that a blurred layer is drawn over itself, until it is opaque where it shows

export class Drawing {
  #canvases = new Map();

  /**
   * Draw a picture and its labels the way that was chosen.
   * @param {HTMLCanvasElement} view
   * @param {HTMLCanvasElement} picture
   * @param {Result} result
   * @param {readonly ClassInfo[]} classes
   * @param {{show: string, opacity: number, color: string, chosen: Set<number>}} how
   */
  draw(view, picture, result, classes, { show, opacity, color, chosen }) {
    const { width, height } = result;
    if (view.width !== width || view.height !== height) Object.assign(view, { width, height });
    const context = contextOf(view);
    context.clearRect(0, 0, width, height);
    if (show === "picture") context.drawImage(picture, 0, 0);
    else if (show === "overlay" || show === "labels") {
      if (show === "overlay") context.drawImage(picture, 0, 0);
      context.globalAlpha = show === "overlay" ? opacity : 1;
      context.drawImage(this.#colored(result, classes, chosen), 0, 0);
      context.globalAlpha = 1;
    } else {
      const mask = this.#mask(result, classes.length, chosen);
      this.#rest(context, picture, mask, show, color);
      context.drawImage(this.#cut("kept", picture, mask, "destination-in"), 0, 0);
    }
  }

  /**
   * What is seen around the chosen classes.
   * @param {CanvasRenderingContext2D} context @param {HTMLCanvasElement} picture
   * @param {HTMLCanvasElement} mask @param {string} show @param {string} color
   */
  #rest(context, picture, mask, show, color) {
    const { width, height } = mask;
    if (show === "replace") {
      context.fillStyle = color;
      context.fillRect(0, 0, width, height);
    } else if (show === "blur") {
      // The chosen pixels have no part in the blur, so that no halo surrounds them.
      const around = this.#cut("around", picture, mask, "destination-out");
      context.filter = `blur(${Math.max(BLUR_SHARE * Math.max(width, height), 0.5)}px)`;
      for (let i = 0; i < SATURATE; i++) context.drawImage(around, 0, 0);
      context.filter = "none";
    }
  }

  /** The labels in their colors. @param {Result} result @param {readonly ClassInfo[]} classes @param {Set<number>} chosen */
  #colored(result, classes, chosen) {
    const table = new Uint32Array(65536);
    for (const { id, color } of classes)
      if (chosen.has(id)) table[id] = (OPAQUE | (color[2] << 16) | (color[1] << 8) | color[0]) >>> 0;
    return this.#painted("colored", result, (label) => table[label]);
  }

  /**
   * The chosen classes: opaque, with soft edges where a model of two classes tells its confidence.
   * @param {Result} result @param {number} classes @param {Set<number>} chosen
   */
  #mask(result, classes, chosen) {
    const { confidence } = result;
    if (classes !== 2 || chosen.size !== 1 || !confidence)
      return this.#painted("mask", result, (label) => (chosen.has(label) ? OPAQUE >>> 0 : 0));
    return this.#painted("mask", result, (label, at) => {
      const probability = chosen.has(label) ? confidence[at] : 1 - confidence[at];
      const share = Math.min(Math.max(2 * probability - 0.5, 0), 1);
      return (Math.round(255 * share * share * (3 - 2 * share)) << 24) >>> 0;
    });
  }

  /** @param {string} name @param {Result} result @param {(label: number, at: number) => number} value */
  #painted(name, { labels, width, height }, value) {
    const canvas = this.#canvas(name, width, height);
    const context = contextOf(canvas);
    const pixels = context.createImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let at = 0; at < words.length; at++) words[at] = value(labels[at], at);
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  /**
   * The picture inside or outside of a mask.
   * @param {string} name @param {HTMLCanvasElement} picture @param {HTMLCanvasElement} mask
   * @param {GlobalCompositeOperation} operation
   */
  #cut(name, picture, mask, operation) {
    const canvas = this.#canvas(name, mask.width, mask.height);
    const context = contextOf(canvas);
    context.globalCompositeOperation = "copy";
    context.drawImage(picture, 0, 0);
    context.globalCompositeOperation = operation;
    context.drawImage(mask, 0, 0);
    return canvas;
  }

  /** @param {string} name @param {number} width @param {number} height */
  #canvas(name, width, height) {
    const canvas = this.#canvases.get(name) ?? document.createElement("canvas");
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#canvases.set(name, canvas);
    return canvas;
  }
}

/**
 * Labels as a picture whose red, green and blue are the class id; of more than 255 classes, red is the lower
 * and green the upper byte.
 * @param {Result} result
 */
export function labelsPicture({ labels, width, height }) {
  const wide = labels instanceof Uint16Array;
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < words.length; at++)
    words[at] = (OPAQUE | (wide ? labels[at] : labels[at] * 0x10101)) >>> 0;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  contextOf(canvas).putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} [settings]
 * @returns {CanvasRenderingContext2D}
 */
export function contextOf(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("this browser gives no canvas of that size");
  return context;
}
