// @ts-check
/**
 * Errors that a user can fix: one line with what was got, what was expected, and what to do. They have the
 * names and the words of the Python runtime's. Any other error is a bug.
 */

export class FcnEdgeError extends Error {
  /** @param {string} message which may hold texts of a file: no display obeys what is in it */
  constructor(message) {
    const line = message.split(/\s+/).join(" ").trim();
    super(line.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`));
    this.name = new.target.name;
  }
}

/** The model file is missing, not ours, damaged, or breaks the contract. */
export class ModelError extends FcnEdgeError {}

/** An image that cannot be segmented as it is. */
export class InputError extends FcnEdgeError {}

/** The requested device is not available, or does not start. */
export class ProviderError extends FcnEdgeError {}

/** The self-test failed: the labels are not those of PyTorch. */
export class VerificationError extends FcnEdgeError {}

/**
 * What another library threw, in one line; onnxruntime compiled to WebAssembly may throw a bare number.
 * @param {unknown} error
 */
export function oneLine(error) {
  const text = String(error instanceof Error ? error.message : error)
    .split(/\s+/)
    .join(" ")
    .trim();
  return text.length <= 400 ? text : `${text.slice(0, 400)} ...`;
}
