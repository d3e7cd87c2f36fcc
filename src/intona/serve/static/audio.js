/** Samples: from the server's events, from recordings, and as wav files. */

export const RATE = 24_000; // of the samples in the server's events

/**
 * 16-bit samples in base64 as numbers between -1 and 1.
 * @param {string} text
 * @returns {Float32Array}
 */
export function decodePcm(text) {
  const bytes = atob(text);
  const samples = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i++) {
    const value = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    samples[i] = (value < 0x8000 ? value : value - 0x10000) / 0x8000;
  }
  return samples;
}

/**
 * A mono wav file of 16-bit samples.
 * @param {Float32Array[]} pieces
 * @param {number} rate
 */
export function wav(pieces, rate) {
  const n = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * n));
  const ascii = (/** @type {number} */ at, /** @type {string} */ text) =>
    [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  ascii(0, "RIFF");
  view.setUint32(4, 36 + 2 * n, true);
  ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // mono
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  ascii(36, "data");
  view.setUint32(40, 2 * n, true);
  let at = 44;
  for (const piece of pieces) {
    for (const sample of piece) {
      view.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 0x7fff), true);
      at += 2;
    }
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}

/**
 * A recording of any format that the browser decodes, as mono samples at `RATE`.
 * @param {Blob} blob
 * @returns {Promise<Float32Array>}
 */
export async function decode(blob) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const buffer = await context.decodeAudioData(await blob.arrayBuffer());
  const mono = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    buffer.getChannelData(c).forEach((sample, i) => (mono[i] += sample / buffer.numberOfChannels));
  }
  return mono;
}
