/** The page: connects its parts. */

import { bodyOf, request, speak } from "./api.js";
import { RATE, wav } from "./audio.js";
import { Code } from "./code.js";
import { Compare, samePlace } from "./compare.js";
import { byId, clock, h, save, takesKeys } from "./dom.js";
import { History } from "./history.js";
import { fail, installKeyForm, showError, showStatus, showWarnings } from "./messages.js";
import { Player } from "./player.js";
import { Reading } from "./reading.js";
import { Recorder } from "./recording.js";
import { Controls } from "./settings.js";
import { keep, load } from "./store.js";
import { Take } from "./take.js";
import { Timeline } from "./timeline.js";

/** @type {Record<string, string>} */
const EXAMPLES = {
  ru: "Добрый день! Вы меня слышите? Напишите здесь что-нибудь, и я прочитаю это вслух.",
  en: "Good morning! Can you hear me? Write something here, and I will read it aloud.",
};
const NARROW = "(max-width: 859px)";

/** A text in the language of the user if the voice speaks it. @param {import("./api.js").Voice} voice */
function example({ languages }) {
  const code = (/** @type {string} */ language) => language.split("-")[0];
  const preferred = navigator.languages
    .map(code)
    .find((l) => languages.map(code).includes(l) && EXAMPLES[l]);
  return EXAMPLES[preferred ?? code(languages[0] ?? "en")] ?? EXAMPLES.en;
}

const text = /** @type {HTMLTextAreaElement} */ (byId("text"));
const voiceSelect = /** @type {HTMLSelectElement} */ (byId("voice"));
const formatSelect = /** @type {HTMLSelectElement} */ (byId("format"));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (byId(id));

class Page {
  /** @type {AbortController | null} */
  #work = null;

  /** @param {import("./api.js").Description} description */
  constructor(description) {
    this.description = description;
    this.compare = new Compare(description.voices);
    this.recorder = new Recorder(description.limits);
    this.controls = new Controls(byId("controls"), this.recorder.element);
    this.player = new Player();
    this.timeline = new Timeline(byId("timeline"));
    this.reading = new Reading();
    this.code = new Code();
    this.history = new History();

    voiceSelect.append(
      ...description.voices.map((v) =>
        h("option", { value: v.id }, v.summary && v.summary !== v.id ? `${v.id}: ${v.summary}` : v.id),
      ),
    );
    formatSelect.append(
      ...["wav", ...description.formats.filter((f) => f !== "wav" && f !== "pcm")].map((f) =>
        h("option", { value: f }, f),
      ),
    );
    this.#restore();
    this.#listen();
    this.#showSlot();
    button("speak").disabled = false;
  }

  /** @returns {import("./api.js").Voice} */
  get voice() {
    const { voices } = this.description;
    return voices.find((v) => v.id === this.compare.slot.settings.model) ?? voices[0];
  }

  #restore() {
    const draft = load("draft", {});
    const { voices } = this.description;
    const slot = this.compare.slot;
    if (voices.some((v) => v.id === draft.model))
      slot.settings = { model: draft.model, options: draft.options ?? {} };
    text.value = typeof draft.text === "string" && draft.text.trim() ? draft.text : example(this.voice);
  }

  #listen() {
    const { compare, controls, player, timeline, reading, recorder } = this;
    text.addEventListener("input", () => {
      reading.forget();
      this.#edited();
    });
    voiceSelect.addEventListener("change", () => this.#selectVoice(voiceSelect.value));
    controls.addEventListener("change", () => this.#edited());
    recorder.addEventListener("change", () => {
      compare.slot.reference = recorder.recording;
      this.#edited();
    });
    compare.addEventListener("select", (e) => {
      const before = /** @type {CustomEvent<Take | null>} */ (e).detail;
      this.#showSlot(samePlace(before, compare.slot.take, player.position));
    });
    compare.addEventListener("mode", () => {
      if (compare.blind && !this.#work) showStatus("");
      this.#showSlot(player.position);
    });
    compare.addEventListener("verdict", (e) => showStatus(/** @type {CustomEvent} */ (e).detail));
    timeline.addEventListener("seek", (e) => player.seek(/** @type {CustomEvent} */ (e).detail));
    timeline.addEventListener("play", (e) => player.playFrom(/** @type {CustomEvent} */ (e).detail));
    player.addEventListener("time", () => this.#showTime());
    player.addEventListener("state", () => this.#showTime());
    reading.addEventListener("correct", (e) => {
      text.value = /** @type {CustomEvent} */ (e).detail;
      this.#edited();
    });
    this.history.addEventListener("select", (e) => this.#recall(/** @type {CustomEvent} */ (e).detail));
    formatSelect.addEventListener("change", () => this.#showCode());
    button("speak").addEventListener("click", () => void this.#speak());
    button("cancel").addEventListener("click", () => this.#cancel());
    button("play").addEventListener("click", () => player.toggle());
    button("replay").addEventListener("click", () => player.playFrom(0));
    button("download").addEventListener("click", () => void this.#download());
    document.addEventListener("keydown", (e) => this.#key(e));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this.#speak();
    } else if (event.key === "Escape" && this.#work) this.#cancel();
    else if (event.key === " " && !takesKeys(event.target)) {
      event.preventDefault();
      this.player.toggle();
    }
  }

  /** @param {string} model */
  #selectVoice(model) {
    const before = this.voice;
    const { settings } = this.compare.slot;
    settings.model = model;
    const known = new Set(this.voice.options.map((o) => o.name));
    for (const option of this.voice.options) {
      if (option.choices && !option.choices.includes(settings.options[option.name]))
        delete settings.options[option.name];
    }
    settings.options = Object.fromEntries(
      Object.entries(settings.options).filter(([name]) => known.has(name)),
    );
    if (text.value === example(before)) text.value = example(this.voice);
    this.#showSlot(this.player.position);
  }

  /** @param {import("./history.js").Entry} entry */
  #recall(entry) {
    text.value = entry.text;
    if (this.description.voices.some((v) => v.id === entry.model)) {
      this.compare.slot.settings = { model: entry.model, options: structuredClone(entry.options) };
      this.#selectVoice(entry.model);
    } else this.#changed();
    text.focus();
  }

  /** Show the slot that is selected: its settings and its result. @param {number} [position] */
  #showSlot(position = 0) {
    const { compare, controls, player, timeline, recorder } = this;
    const { settings, take, reference } = compare.slot;
    voiceSelect.value = settings.model;
    const { summary, vocoder } = this.voice;
    byId("voice-summary").textContent = [summary, vocoder && `vocoder ${vocoder}`].filter(Boolean).join("; ");
    byId("settings-slot").textContent = compare.name && `of ${compare.name}`;
    byId("settings").hidden = compare.blind;
    voiceSelect.disabled = compare.blind;
    controls.show(this.voice, settings.options);
    recorder.show(reference);
    timeline.blind = compare.blind;
    if (player.take !== take) {
      timeline.show(take);
      player.load(take, position);
    }
    this.#changed();
    this.#showTime();
  }

  /** The user has changed the text or the settings. */
  #edited() {
    if (!this.#work) showError("");
    this.#changed();
  }

  /** Show the text and the settings where they occur. */
  #changed() {
    const { settings } = this.compare.slot;
    const most = this.description.limits.characters;
    byId("count").textContent = `${[...text.value].length} of ${most}`;
    byId("count").classList.toggle("over", [...text.value].length > most);
    this.compare.refresh();
    button("speak").textContent = this.compare.comparing ? "Speak both" : "Speak";
    const { languages } = this.voice;
    const isPlain = !settings.options.phonemes && !/^\s*<speak[\s>/]/.test(text.value);
    this.reading.update(
      isPlain ? text.value : null,
      settings.options.language ?? languages.join(","),
    );
    this.#showCode();
    keep("draft", { text: text.value, ...settings });
  }

  #showCode() {
    const { settings, reference } = this.compare.slot;
    const takes = this.voice.options.some((o) => o.type === "recording");
    const fields = {
      text: text.value,
      model: settings.model,
      response_format: formatSelect.value,
      ...settings.options,
    };
    byId("code").hidden = this.compare.blind;
    this.code.show(fields, takes && reference !== null);
  }

  #showTime() {
    const { player, timeline } = this;
    const duration = player.take?.duration ?? 0;
    timeline.at(player.position, player.playing);
    byId("clock").textContent =
      `${clock(player.position)} / ${clock(duration)}${player.take && !player.take.ended ? "…" : ""}`;
    const play = button("play");
    play.classList.toggle("playing", player.playing);
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    play.disabled = button("replay").disabled = duration === 0;
    button("download").disabled = !player.take?.complete;
  }

  /** Speak the text into the slots that are compared, or the one there is. */
  async #speak() {
    if (this.#work) return;
    showError("");
    if (!text.value.trim()) {
      showError("Write a text first.");
      text.focus();
      return;
    }
    showWarnings([]);
    this.player.unlock();
    this.player.pause();
    const work = (this.#work = new AbortController());
    this.#busy(true);
    const fresh = (/** @type {import("./compare.js").Slot} */ { take, settings, reference }) =>
      this.compare.comparing &&
      take?.complete &&
      take.text === text.value &&
      take.reference === reference &&
      JSON.stringify(take.settings) === JSON.stringify(settings);
    try {
      for (const slot of this.compare.targets) {
        if (fresh(slot)) continue;
        await this.#make(slot, work.signal);
      }
      if (!this.player.playing && this.player.take?.complete && this.player.position === 0)
        this.player.play();
    } catch (error) {
      if (work.signal.aborted) showStatus("Cancelled.");
      else fail(error);
    } finally {
      this.#work = null;
      this.#busy(false);
      this.compare.refresh();
      this.#showTime();
    }
  }

  /**
   * @param {import("./compare.js").Slot} slot
   * @param {AbortSignal} signal
   */
  async #make(slot, signal) {
    const voice = this.description.voices.find((v) => v.id === slot.settings.model) ?? this.voice;
    const reference = voice.options.some((o) => o.type === "recording") ? slot.reference : null;
    const take = new Take(text.value, structuredClone(slot.settings), reference);
    const before = slot.take;
    slot.take = take;
    const isShown = () => slot === this.compare.slot;
    if (isShown()) this.#showSlot();
    this.history.add(take.text, take.settings);
    showStatus("Making speech…");
    const fields = {
      text: take.text,
      ...requestOptions(take.settings),
      stream_format: "sse",
      times: voice.times,
      f0: true,
    };
    let begun = false;
    /** @type {string[]} */
    const warnings = [];
    const onWarning = (/** @type {string} */ message) => {
      warnings.push(message);
      showWarnings(warnings);
    };
    const onEvent = (/** @type {any} */ event) => {
      take.receive(event);
      if (begun || !take.length) return;
      begun = true;
      showStatus(`Making speech… first sound after ${take.firstSound.toFixed(2)} s.`);
      if (isShown()) this.player.play();
      this.#showTime();
    };
    const onWait = (/** @type {number} */ s) => showStatus(`The server is busy; trying again in ${s} s…`);
    try {
      await speak(bodyOf(fields, reference?.blob ?? null), { signal, onEvent, onWait, onWarning });
      showStatus(
        `${take.duration.toFixed(1)} s of speech in ${take.seconds.toFixed(1)} s; first sound after ${take.firstSound.toFixed(2)} s.`,
      );
    } catch (error) {
      if (!take.length) {
        slot.take = before;
        if (isShown()) this.#showSlot();
      }
      throw error;
    } finally {
      take.end();
    }
  }

  #cancel() {
    this.#work?.abort();
    this.player.pause();
  }

  async #download() {
    const { take } = this.player;
    const format = formatSelect.value;
    if (!take) return;
    if (format === "wav") {
      save(wav(take.pieces, RATE), "speech.wav");
      return;
    }
    showError("");
    showStatus(`Making the ${format} file…`);
    button("download").disabled = true;
    try {
      const fields = { text: take.text, ...requestOptions(take.settings), response_format: format };
      const response = await request("v1/intona/speech", {
        body: bodyOf(fields, take.reference?.blob ?? null),
      });
      save(await response.blob(), `speech.${format}`);
      showStatus(`speech.${format} is ready.`);
    } catch (error) {
      fail(error);
    } finally {
      this.#showTime();
    }
  }

  /** @param {boolean} busy */
  #busy(busy) {
    button("speak").disabled = busy;
    button("cancel").disabled = !busy;
    document.body.classList.toggle("busy", busy);
  }
}

/** @param {import("./take.js").Settings} settings */
function requestOptions({ model, options }) {
  return { model, ...options };
}

/** @type {Page | null} */
let page = null;

/** Ask the server what it has, and show it. */
async function open() {
  if (page) return;
  showError("");
  showStatus("Asking the server for its voices…");
  try {
    const response = await request("v1/intona/voices", {
      onWait: () => showStatus("The server is busy; trying again…"),
    });
    page = new Page(await response.json());
    showStatus("Ready.");
  } catch (error) {
    fail(error);
  }
}

installKeyForm(() => {
  page?.reading.again();
  void open();
});
button("speak").disabled = true;
if (matchMedia(NARROW).matches) byId("settings").removeAttribute("open");
void open();
