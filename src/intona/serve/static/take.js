/** One spoken text: samples, words and pitch as they arrive. */

import { RATE, decodePcm } from "./audio.js";

export const BIN = 120; // samples per bin of the envelope: 5 ms

/**
 * @typedef {import("./api.js").TimedWord} TimedWord
 * @typedef {{model: string, options: Record<string, any>}} Settings
 */

/** Sends "change" whenever something arrived. */
export class Take extends EventTarget {
  /**
   * @param {string} text
   * @param {Settings} settings
   * @param {import("./recording.js").Recording | null} reference
   */
  constructor(text, settings, reference) {
    super();
    this.text = text;
    this.settings = settings;
    this.reference = reference;
    /** @type {Float32Array[]} */
    this.pieces = [];
    this.length = 0; // samples
    /** @type {TimedWord[]} */
    this.words = [];
    /** @type {{start: number, hop: number, hz: number[]}[]} */
    this.pitch = [];
    /** @type {number[]} largest absolute sample per bin */
    this.envelope = [];
    this.peak = 0; // of the envelope
    /** @type {[number, number] | null} lowest and highest pitch in Hz, without outliers */
    this.pitchRange = null;
    this.complete = false;
    this.ended = false; // complete, cancelled or failed
    this.started = performance.now();
    this.firstSound = 0; // seconds from the request
    this.seconds = 0; // until complete
  }

  /** Seconds of sound that have arrived. */
  get duration() {
    return this.length / RATE;
  }

  /** @param {any} event of the server */
  receive(event) {
    if (event.type === "speech.audio.delta") this.#append(decodePcm(event.audio));
    else if (event.type === "intona.speech.times") this.words.push(...event.words);
    else if (event.type === "intona.speech.pitch") {
      this.pitch.push({ start: event.start, hop: event.hop_seconds, hz: event.f0 });
      const voiced = this.pitch.flatMap((piece) => piece.hz.filter((hz) => hz > 0)).sort((a, b) => a - b);
      const quantile = (/** @type {number} */ q) => voiced[Math.round(q * (voiced.length - 1))];
      this.pitchRange = voiced.length ? [quantile(0.02), quantile(0.98)] : null;
    } else if (event.type === "speech.audio.done") {
      this.complete = true;
      this.end();
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Nothing more will arrive. */
  end() {
    if (this.ended) return;
    this.ended = true;
    this.seconds = (performance.now() - this.started) / 1000;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * The samples from a position on.
   * @param {number} from in samples
   */
  samples(from) {
    const out = new Float32Array(Math.max(0, this.length - from));
    let at = 0;
    for (const piece of this.pieces) {
      if (at + piece.length > from) {
        out.set(at < from ? piece.subarray(from - at) : piece, Math.max(0, at - from));
      }
      at += piece.length;
    }
    return out;
  }

  /**
   * The word at a time, or the last before it; -1 before the first.
   * @param {number} seconds
   */
  wordAt(seconds) {
    let i = this.words.length - 1;
    while (i >= 0 && this.words[i].start > seconds + 1e-3) i--;
    return i;
  }

  /** @param {Float32Array} samples */
  #append(samples) {
    if (!samples.length) return;
    if (!this.firstSound) this.firstSound = (performance.now() - this.started) / 1000;
    samples.forEach((sample, i) => {
      const bin = Math.floor((this.length + i) / BIN);
      const level = Math.max(this.envelope[bin] ?? 0, Math.abs(sample));
      this.envelope[bin] = level;
      if (level > this.peak) this.peak = level;
    });
    this.pieces.push(samples);
    this.length += samples.length;
  }
}
