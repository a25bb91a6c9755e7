// @ts-check
/**
 * SHA-256. Browsers offer it to secure pages alone: a page that a robot serves by http in its own network is
 * not one, and gets the same digest from the function below, more slowly.
 */

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<string>} 64 lower-case hex digits
 */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return sha256InScript(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * FIPS 180-4, section 6.2.
 * @param {Uint8Array} bytes
 * @returns {string} 64 lower-case hex digits
 */
export function sha256InScript(bytes) {
  const { constants, initial } = tables();
  const state = Int32Array.from(initial);
  const words = new Int32Array(64);
  const whole = bytes.length - (bytes.length % 64);
  for (let at = 0; at < whole; at += 64) compress(state, words, constants, bytes, at);

  const rest = bytes.subarray(whole);
  const end = new Uint8Array(rest.length < 56 ? 64 : 128);
  end.set(rest);
  end[rest.length] = 0x80;
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(end.length - 4, (bytes.length * 8) >>> 0);
  for (let at = 0; at < end.length; at += 64) compress(state, words, constants, end, at);
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/**
 * @param {Int32Array} state changed in place
 * @param {Int32Array} words room for the schedule
 * @param {Int32Array} constants
 * @param {Uint8Array} bytes
 * @param {number} at where the block of 64 bytes begins
 */
function compress(state, words, constants, bytes, at) {
  for (let i = 0; i < 16; i++) {
    const p = at + 4 * i;
    words[i] = (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
  }
  for (let i = 16; i < 64; i++) {
    const a = words[i - 15];
    const b = words[i - 2];
    const small0 = rotated(a, 7) ^ rotated(a, 18) ^ (a >>> 3);
    const small1 = rotated(b, 17) ^ rotated(b, 19) ^ (b >>> 10);
    words[i] = (words[i - 16] + small0 + words[i - 7] + small1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const first = (h + big1 + ((e & f) ^ (~e & g)) + constants[i] + words[i]) | 0;
    const big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const second = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] += value));
}

/** @param {number} word @param {number} by */
function rotated(word, by) {
  return (word >>> by) | (word << (32 - by));
}

/** The first 32 bits of the fractions of the cube and square roots of the first primes. */
function tables() {
  /** @type {number[]} */
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (/** @type {number} */ root) => ((root % 1) * 2 ** 32) | 0;
  return {
    constants: Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime))),
    initial: primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))),
  };
}
