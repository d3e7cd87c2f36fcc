/** Plays a take, also while it is still arriving. */

import { RATE } from "./audio.js";

const LEAD = 0.06; // seconds between scheduling a sound and its start

/** Sends "time" while it plays and "state" when it starts or stops. */
export class Player extends EventTarget {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {Set<AudioBufferSourceNode>} */
  #sources = new Set();
  #origin = 0; // the context's time of the take's start
  #scheduled = 0; // samples that are playing or will play
  #position = 0; // seconds, while nothing plays
  #frame = 0;
  #timer = 0;
  /** @type {import("./take.js").Take | null} */
  take = null;
  playing = false;

  constructor() {
    super();
    this.arrived = () => this.#onChange();
  }

  /** Seconds from the start of the take. */
  get position() {
    if (!this.playing || !this.#context) return this.#position;
    const elapsed = this.#context.currentTime - this.#origin;
    return Math.min(Math.max(elapsed, this.#position), this.#scheduled / RATE);
  }

  /** Sound may only start after a click or a key: call this in its handler. */
  unlock() {
    this.#context ??= new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    if (this.#context.state === "suspended") void this.#context.resume();
  }

  /**
   * Change to a take.
   * @param {import("./take.js").Take | null} take
   * @param {number} [position] in seconds
   */
  load(take, position = 0) {
    const playing = this.playing;
    this.pause();
    this.take?.removeEventListener("change", this.arrived);
    this.take = take;
    take?.addEventListener("change", this.arrived);
    this.#position = take ? Math.min(position, take.duration) : 0;
    this.#notify("time");
    if (playing && take?.length) this.play();
  }

  play() {
    if (!this.take || this.playing) return;
    this.unlock();
    if (this.take.ended && this.#position >= this.take.duration - 0.01) this.#position = 0;
    this.playing = true;
    this.#start(this.#position);
    this.#tick();
    this.#timer = window.setInterval(() => this.#checkEnd(), 100);
    this.#notify("state");
  }

  pause() {
    if (!this.playing) return;
    this.#position = this.position;
    this.#stop();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.take) return;
    this.#position = Math.max(0, Math.min(seconds, this.take.duration));
    if (this.playing) this.#start(this.#position);
    this.#notify("time");
  }

  /** @param {number} seconds */
  playFrom(seconds) {
    this.seek(seconds);
    this.play();
  }

  /** Schedule all that has arrived from a position on. @param {number} position */
  #start(position) {
    this.#silence();
    if (!this.#context || !this.take) return;
    this.#scheduled = Math.round(position * RATE);
    this.#origin = this.#context.currentTime + LEAD - position;
    this.#schedule();
  }

  #schedule() {
    const context = this.#context;
    const samples = this.take?.samples(this.#scheduled);
    if (!context || !samples?.length) return;
    let at = this.#origin + this.#scheduled / RATE;
    if (at < context.currentTime) {
      // The player was faster than the server: it goes on where it had to wait.
      this.#position = this.#scheduled / RATE;
      at = context.currentTime + LEAD;
      this.#origin = at - this.#position;
    }
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.addEventListener("ended", () => this.#sources.delete(source));
    source.start(at);
    this.#sources.add(source);
    this.#scheduled += samples.length;
  }

  #onChange() {
    if (this.playing) this.#schedule();
  }

  #checkEnd() {
    if (this.playing && this.take?.ended && this.position >= this.take.duration - 0.005) {
      this.#position = this.take.duration;
      this.#stop();
    }
  }

  #stop() {
    this.playing = false;
    this.#silence();
    window.clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#notify("time");
    this.#notify("state");
  }

  #silence() {
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
  }

  #tick() {
    this.#notify("time");
    this.#frame = requestAnimationFrame(() => this.#tick());
  }

  /** @param {string} type */
  #notify(type) {
    this.dispatchEvent(new Event(type));
  }
}
