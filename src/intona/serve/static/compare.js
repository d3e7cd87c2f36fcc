/** Two results, A and B, and the blind comparison of them. */

import { byId, h } from "./dom.js";
import { differences } from "./settings.js";

/**
 * @typedef {import("./take.js").Take} Take
 * @typedef {{settings: import("./take.js").Settings, reference: import("./recording.js").Recording | null, take: Take | null}} Slot
 */

const NAMES = ["A", "B"];

/** Sends "select" when another slot is shown, and "mode" when a comparison starts or ends. */
export class Compare extends EventTarget {
  active = 0;
  comparing = false;
  blind = false;
  #order = [0, 1]; // the slots in the order in which they are shown

  /** @param {import("./api.js").Voice[]} voices */
  constructor(voices) {
    super();
    this.voices = voices;
    /** @type {Slot[]} */
    this.slots = [0, 1].map(() => ({
      settings: { model: voices[0].id, options: {} },
      reference: null,
      take: null,
    }));
    this.button = byId("compare");
    this.group = byId("slots");
    this.blindBox = /** @type {HTMLInputElement} */ (byId("blind"));
    this.verdict = byId("verdict");
    this.button.addEventListener("click", () => this.#setComparing(!this.comparing));
    this.blindBox.addEventListener("change", () => this.#setBlind(this.blindBox.checked));
    this.#render();
  }

  /** The slot whose result is shown. */
  get slot() {
    return this.slots[this.active];
  }

  /** Slots that "Speak" speaks: the shown one first. */
  get targets() {
    return this.comparing ? [this.slot, this.slots[1 - this.active]] : [this.slot];
  }

  /** The name of the shown slot, "" outside of comparisons. */
  get name() {
    return this.comparing && !this.blind ? NAMES[this.active] : "";
  }

  /** @param {number} active */
  select(active) {
    if (active === this.active) return;
    const before = this.slot.take;
    this.active = active;
    this.refresh();
    this.dispatchEvent(new CustomEvent("select", { detail: before }));
  }

  /** Settings or results have changed. */
  refresh() {
    const [a, b] = differences(this.slots[0].settings, this.slots[1].settings, this.voices);
    const sameVoice = this.slots[0].reference === this.slots[1].reference;
    const same = sameVoice
      ? "A and B have the same settings; change one of them"
      : "A and B differ in the reference recording";
    byId("differences").textContent =
      !this.comparing || this.blind ? "" : a || b ? `A: ${a || "–"} · B: ${b || "–"}` : same;
    for (const radio of this.group.querySelectorAll("input"))
      radio.checked = Number(radio.value) === this.active;
    this.verdict.hidden = !(this.blind && this.slots.every((slot) => slot.take?.complete));
  }

  /** @param {boolean} comparing */
  #setComparing(comparing) {
    this.comparing = comparing;
    this.blind = this.blindBox.checked = false;
    this.#order = [0, 1];
    if (comparing) {
      const other = this.slots[1 - this.active];
      other.settings = structuredClone(this.slot.settings);
      other.reference = this.slot.reference;
      other.take = null;
    }
    this.#render();
    this.dispatchEvent(new Event("mode"));
  }

  /** @param {boolean} blind */
  #setBlind(blind) {
    this.blind = blind;
    this.#order = blind && Math.random() < 0.5 ? [1, 0] : [0, 1];
    this.#render();
    if (blind) this.select(this.#order[0]);
    this.dispatchEvent(new Event("mode"));
  }

  /** @param {number | null} slot that was preferred */
  #judge(slot) {
    const [a, b] = differences(this.slots[0].settings, this.slots[1].settings, this.voices);
    const which =
      slot === null
        ? "You heard no difference"
        : `You preferred ${NAMES[slot]}${[a, b][slot] && `, ${[a, b][slot]}`}`;
    this.blindBox.checked = false;
    this.#setBlind(false);
    this.dispatchEvent(new CustomEvent("verdict", { detail: `${which}.` }));
  }

  #render() {
    const names = this.#order.map((slot, i) => (this.blind ? String(i + 1) : NAMES[slot]));
    this.button.textContent = this.comparing ? "Stop comparing" : "Compare two settings";
    this.button.setAttribute("aria-pressed", String(this.comparing));
    this.group.hidden = byId("blind-row").hidden = !this.comparing;
    this.group.replaceChildren(
      ...this.#order.map((slot, i) =>
        h(
          "label",
          { class: "segment" },
          h("input", {
            type: "radio",
            name: "slot",
            value: slot,
            class: "visually-hidden",
            change: () => this.select(slot),
          }),
          h("span", {}, names[i]),
        ),
      ),
    );
    this.verdict.replaceChildren(
      h("span", {}, "Which is better?"),
      ...this.#order.map((slot, i) =>
        h("button", { type: "button", class: "quiet", click: () => this.#judge(slot) }, names[i]),
      ),
      h("button", { type: "button", class: "quiet", click: () => this.#judge(null) }, "No difference"),
    );
    this.refresh();
  }
}

/**
 * The position in another take: in the same place of the same word if both have the same number of words.
 * @param {Take | null} from
 * @param {Take | null} to
 * @param {number} seconds
 */
export function samePlace(from, to, seconds) {
  if (!from || !to?.length) return 0;
  const i = from.wordAt(seconds);
  if (i >= 0 && from.words.length === to.words.length) {
    const end = (/** @type {Take} */ take) => take.words[i + 1]?.start ?? take.duration;
    const part = (seconds - from.words[i].start) / Math.max(end(from) - from.words[i].start, 1e-3);
    return to.words[i].start + Math.min(part, 1) * (end(to) - to.words[i].start);
  }
  return from.complete && to.complete
    ? (seconds / from.duration) * to.duration
    : Math.min(seconds, to.duration);
}
