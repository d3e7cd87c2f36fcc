/** "How it will be read": words with their phonemes, and stress that a click corrects. */

import { request } from "./api.js";
import { byId, h } from "./dom.js";
import { align, letters, sourceWords, stressed, stressedVowel } from "./stress.js";

const DELAY = 500; // ms without typing before the text is read again
const UNDO = 50; // corrections that can be undone

/** Sends "correct" (detail: the new text). */
export class Reading extends EventTarget {
  #timer = 0;
  /** @type {AbortController | null} */
  #request = null;
  /** @type {string | null} */
  #text = "";
  #language = "";
  #read = ""; // what was read last, to do nothing for the same text
  /** @type {string[]} */
  #before = [];

  constructor() {
    super();
    this.details = byId("reading");
    this.body = byId("reading-body");
    this.hint = byId("reading-hint");
    this.undo = byId("undo");
    this.details.addEventListener("toggle", () => void this.#refresh());
    this.undo.addEventListener("click", () => this.#undo());
  }

  /**
   * The text or its language has changed. It is read while the section is open.
   * @param {string | null} text null if it is not plain text
   * @param {string} language
   */
  update(text, language) {
    this.#text = text;
    this.#language = language;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#refresh(), DELAY);
  }

  /** Read again even if the text is the same, as after a change of the key. */
  again() {
    this.#read = "";
    void this.#refresh();
  }

  async #refresh() {
    const text = this.#text;
    const key = JSON.stringify([text, this.#language]);
    if (!(/** @type {HTMLDetailsElement} */ (this.details).open) || key === this.#read) return;
    this.#request?.abort();
    if (text === null || !text.trim()) {
      this.#read = key;
      this.hint.textContent = "";
      this.#show(
        h("p", { class: "hint" }, text === null ? "Only plain text is shown here." : "Write a text first."),
      );
      return;
    }
    const controller = (this.#request = new AbortController());
    const language = this.#language || null;
    try {
      const response = await request("v1/intona/read", {
        body: { text, language },
        signal: controller.signal,
      });
      const answer = await response.json();
      this.#read = key;
      this.#render(text, answer.sentences, answer.left_out ?? []);
    } catch (error) {
      if (controller.signal.aborted) return;
      this.hint.textContent = "";
      this.#show(h("p", { class: "error" }, /** @type {Error} */ (error).message));
    }
  }

  /** @param {...Node} nodes */
  #show(...nodes) {
    this.body.replaceChildren(...nodes);
  }

  /**
   * @param {string} text
   * @param {any[]} sentences
   * @param {{text: string, reason: string}[]} leftOut
   */
  #render(text, sentences, leftOut) {
    const read = sentences.flatMap((s) => s.words.map((/** @type {any} */ w) => w.text));
    const sources = align(read, sourceWords(text));
    let i = 0;
    let correctable = false;
    const rows = sentences.map((s) => {
      const words = s.words.map((/** @type {any} */ word) => {
        const source = sources[i++];
        const phones = s.phonemes.slice(word.start, word.end);
        correctable ||= source !== null && /[а-яё]/iu.test(word.text);
        return this.#word(text, word.text, phones, source);
      });
      return h("p", { class: "sentence" }, ...words);
    });
    const problems = sentences.flatMap((s) => [
      ...s.unreadable.map(
        (/** @type {string} */ c) => `${c} (${codePoint(c)}) has no reading and is skipped.`,
      ),
      ...s.unspoken.map((/** @type {string} */ w) => `“${w}” has no sound and is skipped.`),
    ]);
    problems.push(...leftOut.map((s) => `Left out: “${s.text}”: ${s.reason}.`));
    this.hint.textContent = correctable ? "Click a vowel to put the stress on it." : "";
    const notes = problems.length
      ? [h("ul", { class: "problems" }, ...problems.map((p) => h("li", {}, p)))]
      : [];
    this.#show(...notes, ...rows);
  }

  /**
   * @param {string} text
   * @param {string} word
   * @param {string[]} phones
   * @param {import("./stress.js").Source | null} source
   */
  #word(text, word, phones, source) {
    const stress = stressedVowel(phones);
    const split = letters(word);
    const syllables = split.filter(([, vowel]) => vowel >= 0).length;
    const spelling = split.map(([letter, vowel]) => {
      if (vowel < 0) return letter;
      const isStressed = vowel === stress;
      const shown =
        isStressed && syllables > 1 && letter.toLowerCase() !== "ё" ? letter + "\u0301" : letter;
      if (!source || syllables < 2) return shown;
      return h(
        "button",
        {
          type: "button",
          class: isStressed ? "vowel stressed" : "vowel",
          "aria-pressed": isStressed,
          "aria-label": `${word}: stress on vowel ${vowel + 1}, ${letter}`,
          click: () => this.#correct(text, source, vowel),
        },
        shown,
      );
    });
    const title = source ? null : "Not in the text as it is read. Write it in words to change its stress.";
    return h(
      "span",
      { class: "read-word", title },
      h("span", { class: "spelling" }, ...spelling),
      h("span", { class: "phones" }, phones.join(" ")),
    );
  }

  /**
   * @param {string} text
   * @param {import("./stress.js").Source} source
   * @param {number} vowel
   */
  #correct(text, source, vowel) {
    if (text !== this.#text) return; // what is shown is of an earlier text; it is being read again
    this.#before.push(text);
    if (this.#before.length > UNDO) this.#before.shift();
    this.#change(stressed(text, source, vowel));
  }

  #undo() {
    const text = this.#before.pop();
    if (text !== undefined) this.#change(text);
  }

  /** @param {string} text */
  #change(text) {
    this.undo.hidden = !this.#before.length;
    this.dispatchEvent(new CustomEvent("correct", { detail: text }));
    clearTimeout(this.#timer);
    void this.#refresh();
  }

  /** The user has typed: earlier texts would undo that, too. */
  forget() {
    this.#before = [];
    this.undo.hidden = true;
  }
}

/** @param {string} character */
function codePoint(character) {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
