/** A reference recording from a file or the microphone. */

import { RATE, decode, wav } from "./audio.js";
import { h } from "./dom.js";

/** @typedef {{name: string, blob: Blob, seconds: number}} Recording */

/** Sends "change" when there is another recording or none. */
export class Recorder extends EventTarget {
  /** @type {Recording | null} */
  recording = null;
  /** @type {MediaRecorder | null} */
  #recorder = null;

  /** @param {{reference_seconds: number}} limits */
  constructor(limits) {
    super();
    this.limits = limits;
    this.file = h("input", {
      type: "file",
      accept: "audio/*",
      class: "visually-hidden",
      id: "reference-file",
      change: () => void this.#choose(),
    });
    this.microphone = h(
      "button",
      { type: "button", class: "quiet", click: () => void this.#toggle() },
      "Record",
    );
    this.remove = h(
      "button",
      { type: "button", class: "quiet", hidden: true, click: () => this.use(null) },
      "Remove",
    );
    this.player = h("audio", { controls: true, hidden: true });
    this.message = h("p", { class: "hint", role: "status" });
    const choose = h("label", { class: "button quiet", for: "reference-file" }, "Choose a file");
    this.element = h(
      "div",
      { class: "recorder" },
      h("div", { class: "row" }, this.file, choose, this.microphone, this.remove),
      this.player,
      this.message,
    );
  }

  /** Show a recording without "change". @param {Recording | null} recording */
  show(recording) {
    this.recording = recording;
    this.remove.hidden = this.player.hidden = !recording;
    if (this.player.src) URL.revokeObjectURL(this.player.src);
    if (recording) this.player.src = URL.createObjectURL(recording.blob);
    else this.player.removeAttribute("src");
    this.message.textContent = recording ? `${recording.name}, ${recording.seconds.toFixed(1)} s` : "";
  }

  /** @param {Recording | null} recording */
  use(recording) {
    this.show(recording);
    this.file.value = "";
    this.dispatchEvent(new Event("change"));
  }

  async #choose() {
    const file = this.file.files?.[0];
    if (file) await this.#take(file, file.name);
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   */
  async #take(blob, name) {
    let samples;
    try {
      samples = await decode(blob);
    } catch {
      this.message.textContent = `${name} is not a sound file that this browser can read.`;
      return;
    }
    const most = Math.floor(this.limits.reference_seconds * RATE);
    const cut = samples.length > most;
    if (cut) samples = samples.subarray(0, most);
    this.use({ name, blob: wav([samples], RATE), seconds: samples.length / RATE });
    if (cut) this.message.textContent += ` (the first ${this.limits.reference_seconds} s of it)`;
  }

  async #toggle() {
    if (this.#recorder) {
      this.#recorder.stop();
      return;
    }
    if (!navigator.mediaDevices) {
      this.message.textContent = "Browsers allow the microphone only on https pages and on localhost.";
      return;
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      this.message.textContent = "There is no microphone, or this page may not use it.";
      return;
    }
    const recorder = new MediaRecorder(stream);
    /** @type {Blob[]} */
    const parts = [];
    const limit = setTimeout(
      () => recorder.state === "recording" && recorder.stop(),
      1000 * this.limits.reference_seconds,
    );
    recorder.addEventListener("dataavailable", (e) => parts.push(e.data));
    recorder.addEventListener("stop", () => {
      clearTimeout(limit);
      stream.getTracks().forEach((track) => track.stop());
      this.#recorder = null;
      this.microphone.textContent = "Record";
      this.microphone.classList.remove("recording");
      void this.#take(new Blob(parts, { type: recorder.mimeType }), "From the microphone");
    });
    recorder.start();
    this.#recorder = recorder;
    this.microphone.textContent = "Stop recording";
    this.microphone.classList.add("recording");
    this.message.textContent = "Recording…";
  }
}
