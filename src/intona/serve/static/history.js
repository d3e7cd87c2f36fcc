/** Texts and settings that were spoken, kept in this browser. */

import { byId, h } from "./dom.js";
import { keep, load } from "./store.js";

const MOST = 50; // entries
const SHOWN = 120; // characters of a text

/** @typedef {{text: string, model: string, options: Record<string, any>, time: number}} Entry */

/** Sends "select" (detail: the entry). */
export class History extends EventTarget {
  constructor() {
    super();
    const stored = load("history", []);
    /** @type {Entry[]} */
    this.entries = Array.isArray(stored) ? stored.filter(isEntry).slice(0, MOST) : [];
    this.list = byId("history-list");
    byId("history-clear").addEventListener("click", () => this.#set([]));
    this.#render();
  }

  /**
   * @param {string} text
   * @param {import("./take.js").Settings} settings
   */
  add(text, { model, options }) {
    const key = (/** @type {Entry} */ e) => JSON.stringify([e.text, e.model, e.options]);
    const entry = { text, model, options: structuredClone(options), time: Date.now() };
    this.#set([entry, ...this.entries.filter((e) => key(e) !== key(entry))].slice(0, MOST));
  }

  /** @param {Entry[]} entries */
  #set(entries) {
    this.entries = entries;
    keep("history", entries.length ? entries : null);
    this.#render();
  }

  #render() {
    byId("history-clear").hidden = !this.entries.length;
    if (!this.entries.length) {
      this.list.replaceChildren(h("li", { class: "hint" }, "Nothing yet."));
      return;
    }
    this.list.replaceChildren(...this.entries.map((entry) => this.#item(entry)));
  }

  /** @param {Entry} entry */
  #item(entry) {
    const time = new Date(entry.time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
    const options = Object.entries(entry.options).map(([name, value]) => `${name} ${value}`);
    const text = entry.text.length > SHOWN ? `${entry.text.slice(0, SHOWN)}…` : entry.text;
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: "entry",
          click: () => this.dispatchEvent(new CustomEvent("select", { detail: entry })),
        },
        h("span", { class: "entry-text" }, text),
        h("span", { class: "hint" }, [time, entry.model, ...options].join(" · ")),
      ),
      h(
        "button",
        {
          type: "button",
          class: "reset",
          "aria-label": `Remove: ${text}`,
          title: "Remove",
          click: () => this.#set(this.entries.filter((e) => e !== entry)),
        },
        "✕",
      ),
    );
  }
}

/** @param {any} value */
function isEntry(value) {
  return (
    typeof value?.text === "string" &&
    typeof value.model === "string" &&
    typeof value.options === "object" &&
    value.options !== null
  );
}
