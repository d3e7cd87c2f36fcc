/** Controls for the options of a voice, as the server describes them. */

import { die, h } from "./dom.js";

/** @typedef {import("./api.js").Option} Option */

const SEEDS = 1_000_000; // the dice throws below this, so that a seed can be noted down

/** Sends "change" after each change of a value. */
export class Controls extends EventTarget {
  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} recorder the control of a reference recording
   */
  constructor(root, recorder) {
    super();
    this.root = root;
    this.recorder = recorder;
    /** @type {Record<string, any>} values that differ from the voice's defaults */
    this.values = {};
    this.advancedOpen = false;
  }

  /**
   * @param {import("./api.js").Voice} voice
   * @param {Record<string, any>} values
   */
  show(voice, values) {
    this.values = values;
    const rows = (/** @type {boolean} */ advanced) =>
      voice.options.filter((o) => o.advanced === advanced).map((o) => this.#row(o));
    const advanced = rows(true);
    const more = h(
      "details",
      { class: "more", open: this.advancedOpen },
      h("summary", {}, "More"),
      ...advanced,
    );
    more.addEventListener("toggle", () => (this.advancedOpen = more.open));
    this.root.replaceChildren(...rows(false), advanced.length ? more : "");
  }

  /** @param {Option} option */
  #row(option) {
    const id = `option-${option.name}`;
    const help = h("p", { class: "hint", id: `${id}-help` }, option.help);
    if (option.type === "recording")
      return h("fieldset", { class: "option" }, h("legend", {}, option.label), this.recorder, help);
    const { fields, update } = this.#fields(option, id);
    const reset = h(
      "button",
      {
        type: "button",
        class: "reset",
        title: "Back to the voice's default",
        "aria-label": `${option.label}: back to the default`,
        click: () => set(option.default),
      },
      "↺",
    );
    const set = (/** @type {any} */ value) => {
      if (value === option.default || value === "" || value === null || Number.isNaN(value))
        delete this.values[option.name];
      else this.values[option.name] = value;
      refresh();
      this.dispatchEvent(new Event("change"));
    };
    const refresh = () => {
      update(this.values[option.name] ?? option.default);
      reset.classList.toggle("invisible", !(option.name in this.values));
    };
    for (const field of fields) {
      const type = field.type === "range" ? "input" : "change";
      field.addEventListener(type, () => set(valueOf(field, option)));
    }
    refresh();
    if (option.type === "flag") {
      return h(
        "div",
        { class: "option" },
        h("label", { class: "check" }, fields[0], ` ${option.label}`),
        help,
      );
    }
    const dice =
      option.name === "seed"
        ? h(
            "button",
            {
              type: "button",
              class: "reset dice",
              title: "Throw the dice: another seed",
              "aria-label": "Another seed",
              click: () => set(Math.floor(Math.random() * SEEDS)),
            },
            die(),
          )
        : null;
    return h(
      "div",
      { class: "option" },
      h("div", { class: "label-row" }, h("label", { for: id }, option.label), reset),
      h("div", { class: "fields" }, ...fields, dice),
      help,
    );
  }

  /**
   * The fields of an option, and what shows a value in them.
   * @param {Option} option
   * @param {string} id
   * @returns {{fields: any[], update: (value: any) => void}}
   */
  #fields(option, id) {
    const described = { id, "aria-describedby": `${id}-help` };
    if (option.type === "flag") {
      const box = h("input", { type: "checkbox", ...described });
      return { fields: [box], update: (value) => (box.checked = Boolean(value)) };
    }
    if (option.type === "choice") {
      const choices = option.choices ?? [];
      const first = option.default === null ? [h("option", { value: "" }, "automatic")] : [];
      const select = h("select", described, ...first, ...choices.map((c) => h("option", { value: c }, option.labels?.[c] ?? c)));
      return { fields: [select], update: (value) => (select.value = value ?? "") };
    }
    if (option.type === "text") {
      const field = h("input", { type: "text", maxlength: option.max, ...described });
      return { fields: [field], update: (value) => (field.value = value ?? "") };
    }
    const step = option.type === "integer" ? 1 : "any";
    const placeholder = option.default === null ? "auto" : null;
    const number = h("input", {
      type: "number",
      min: option.min,
      max: option.max,
      step,
      placeholder,
      inputmode: option.type === "integer" ? "numeric" : "decimal",
      ...described,
    });
    if (!option.slider) return { fields: [number], update: (value) => (number.value = value ?? "") };
    const [low, high, by] = option.slider;
    const slider = h("input", {
      type: "range",
      min: low,
      max: high,
      step: by,
      "aria-label": `${option.label}, slider`,
    });
    return {
      fields: [slider, number],
      update: (value) => {
        slider.value = String(value ?? (low + high) / 2);
        number.value = value ?? "";
      },
    };
  }
}

/**
 * The value of a field, within the limits of its option.
 * @param {any} field
 * @param {Option} option
 */
function valueOf(field, option) {
  if (option.type === "flag") return field.checked;
  if (option.type === "choice") return field.value || null;
  if (option.type === "text") return field.value.trim();
  if (field.value === "") return null;
  const value = Number(field.value);
  const limited = Math.min(Math.max(value, option.min ?? -Infinity), option.max ?? Infinity);
  return option.type === "integer" ? Math.round(limited) : limited;
}

/**
 * How two settings differ, as text for each: ["rate 1", "rate 1.2"]. Both are empty if they do not.
 * @param {import("./take.js").Settings} a
 * @param {import("./take.js").Settings} b
 * @param {import("./api.js").Voice[]} voices
 * @returns {[string, string]}
 */
export function differences(a, b, voices) {
  const value = (/** @type {import("./take.js").Settings} */ s, /** @type {string} */ name) => {
    const option = voices.find((v) => v.id === s.model)?.options.find((o) => o.name === name);
    return s.options[name] ?? option?.default ?? null;
  };
  const names = new Set([...Object.keys(a.options), ...Object.keys(b.options)]);
  const rows = [...names].filter((name) => value(a, name) !== value(b, name));
  const text = (/** @type {import("./take.js").Settings} */ s) =>
    [
      ...(a.model === b.model ? [] : [s.model]),
      ...rows.map((name) => `${name.replaceAll("_", " ")} ${value(s, name) ?? "automatic"}`),
    ].join(", ");
  return [text(a), text(b)];
}
