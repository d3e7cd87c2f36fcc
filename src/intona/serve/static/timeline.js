/** The picture of a take: waveform, pitch, and words at their times. */

import { RATE } from "./audio.js";
import { clock, h } from "./dom.js";
import { BIN } from "./take.js";

const PLOT_HEIGHT = 148;
const ROW = 30; // pixels of a row of words
const MIN_SCALE = 90; // pixels per second
const MAX_SCALE = 260;
const CHARACTERS_PER_SECOND = 14; // of unhurried speech, to foresee the length
const GAP = 4; // pixels between words in a row

/** Sends "seek" (detail: seconds) and "play" (detail: seconds, from a word). */
export class Timeline extends EventTarget {
  /** @type {import("./take.js").Take | null} */
  #take = null;
  #scale = MIN_SCALE;
  #shown = 0; // words that have a button
  #current = -1;
  #position = 0;
  #blind = false;
  #rowEnds = [0, 0];
  #fitted = false;
  #drawing = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    super();
    this.canvas = h("canvas", {
      class: "plot",
      tabindex: 0,
      role: "slider",
      "aria-label": "Position",
      "aria-valuemin": 0,
      "aria-valuemax": 0,
      "aria-valuenow": 0,
      height: PLOT_HEIGHT,
    });
    this.words = h("div", {
      class: "words",
      role: "toolbar",
      "aria-label": "Words: a click plays from the word",
    });
    this.track = h("div", { class: "track" }, this.canvas, this.words);
    this.scroller = h("div", { class: "scroller" }, this.track);
    this.empty = h("p", { class: "empty" }, "Waveform, pitch and words appear here.");
    root.append(this.scroller, this.empty);
    this.changed = () => this.#update();
    this.scroller.addEventListener("scroll", () => this.#draw());
    this.canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ e) => this.#point(e));
    this.canvas.addEventListener(
      "pointermove",
      (/** @type {PointerEvent} */ e) => e.buttons & 1 && this.#point(e),
    );
    this.canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => this.#seekByKey(e));
    this.words.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => this.#moveByKey(e));
    new ResizeObserver(() => this.#rescale()).observe(this.scroller);
    window.addEventListener("themechange", () => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** @param {import("./take.js").Take | null} take */
  show(take) {
    this.#take?.removeEventListener("change", this.changed);
    this.#take = take;
    take?.addEventListener("change", this.changed);
    this.#current = -1;
    this.#position = 0;
    this.#fitted = false;
    this.scroller.scrollLeft = 0;
    this.#rescale();
  }

  /** Draw no waveform and no pitch, which would tell two takes apart. @param {boolean} blind */
  set blind(blind) {
    this.#blind = blind;
    this.words.hidden = blind;
    this.#draw();
  }

  /**
   * Show a position; while playing the picture follows it.
   * @param {number} seconds
   * @param {boolean} follow
   */
  at(seconds, follow) {
    const take = this.#take;
    this.#position = seconds;
    const ended = !follow && take !== null && seconds >= take.duration - 0.01;
    this.#mark(take && !ended && (follow || seconds > 0) ? take.wordAt(seconds) : -1);
    this.canvas.setAttribute("aria-valuenow", seconds.toFixed(1));
    this.canvas.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(take?.duration ?? 0)}`);
    if (follow) {
      const x = seconds * this.#scale - this.scroller.scrollLeft;
      const width = this.scroller.clientWidth;
      if (x > 0.85 * width || x < 0) this.scroller.scrollLeft = seconds * this.#scale - 0.15 * width;
    }
    this.#draw();
  }

  /** Set pixels per second and lay the words out again. */
  #rescale() {
    const take = this.#take;
    const width = this.scroller.clientWidth;
    const rate = Number(take?.settings.options.rate ?? 1);
    const expected = take ? take.text.length / CHARACTERS_PER_SECOND / rate : 1;
    const duration = take?.ended ? take.duration : Math.max(expected, take?.duration ?? 0);
    this.#scale = Math.min(
      Math.max(width / Math.max(duration, 0.1), MIN_SCALE * Math.max(1, rate)),
      MAX_SCALE,
    );
    this.#fitted = take?.ended ?? false;
    this.#shown = 0;
    this.#rowEnds = [0, 0];
    this.words.replaceChildren();
    this.#update();
  }

  #update() {
    const take = this.#take;
    this.empty.hidden = Boolean(take?.length);
    if (take?.ended && !this.#fitted) {
      this.#rescale();
      return;
    }
    if (take) {
      for (; this.#shown < take.words.length; this.#shown++) this.#addWord(take.words[this.#shown]);
    }
    const width = Math.max(this.scroller.clientWidth, Math.ceil((take?.duration ?? 0) * this.#scale));
    this.track.style.width = `${Math.max(width, this.#rowEnds[0], this.#rowEnds[1])}px`;
    this.canvas.setAttribute("aria-valuemax", (take?.duration ?? 0).toFixed(1));
    this.#draw();
  }

  /** @param {import("./api.js").TimedWord} word */
  #addWord(word) {
    const i = this.#shown;
    const phones = word.phones.map((p) => p.symbol).join(" ");
    const button = h(
      "button",
      {
        type: "button",
        class: "word",
        tabindex: i ? -1 : 0,
        title: `${phones ? `[${phones}] ` : ""}${word.start.toFixed(2)}–${word.end.toFixed(2)} s`,
        click: () => this.dispatchEvent(new CustomEvent("play", { detail: word.start })),
      },
      word.text + word.after,
    );
    this.words.append(button);
    const left = word.start * this.#scale;
    const row = this.#rowEnds[0] <= left + 0.5 || this.#rowEnds[0] <= this.#rowEnds[1] ? 0 : 1;
    const x = Math.max(left, this.#rowEnds[row]);
    button.style.minWidth = `${Math.max(16, (word.end - word.start) * this.#scale - GAP)}px`;
    button.style.left = `${x}px`;
    button.style.top = `${row * ROW}px`;
    this.#rowEnds[row] = x + button.offsetWidth + GAP;
  }

  /** @param {number} i of the current word; -1 for none */
  #mark(i) {
    if (i === this.#current) return;
    this.words.children[this.#current]?.removeAttribute("aria-current");
    this.words.children[i]?.setAttribute("aria-current", "true");
    this.#current = i;
  }

  /** @param {PointerEvent} event */
  #point(event) {
    if (!this.#take?.length) return;
    const x = event.clientX - this.scroller.getBoundingClientRect().left + this.scroller.scrollLeft;
    this.#seek(x / this.#scale);
  }

  /** @param {number} seconds */
  #seek(seconds) {
    const end = this.#take?.duration ?? 0;
    this.dispatchEvent(new CustomEvent("seek", { detail: Math.min(Math.max(seconds, 0), end) }));
  }

  /** @param {KeyboardEvent} event */
  #seekByKey(event) {
    const end = this.#take?.duration ?? 0;
    const steps = /** @type {Record<string, number>} */ ({
      ArrowLeft: this.#position - 0.5,
      ArrowDown: this.#position - 0.5,
      ArrowRight: this.#position + 0.5,
      ArrowUp: this.#position + 0.5,
      PageDown: this.#position - 5,
      PageUp: this.#position + 5,
      Home: 0,
      End: end,
    });
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.#seek(steps[event.key]);
    this.scroller.scrollLeft = this.#position * this.#scale - this.scroller.clientWidth / 2;
  }

  /** The arrow keys move between words. @param {KeyboardEvent} event */
  #moveByKey(event) {
    const buttons = /** @type {HTMLElement[]} */ ([...this.words.children]);
    const i = buttons.indexOf(/** @type {HTMLElement} */ (event.target));
    const next = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (i < 0 || next === undefined || !buttons[next]) return;
    event.preventDefault();
    buttons[i].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
  }

  #draw() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const width = this.scroller.clientWidth;
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(PLOT_HEIGHT * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(PLOT_HEIGHT * ratio);
      canvas.style.width = `${width}px`;
    }
    const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, PLOT_HEIGHT);
    const take = this.#take;
    if (!take?.length) return;
    const from = this.scroller.scrollLeft;
    const word = take.words[this.#current];
    if (word && !this.#blind) {
      g.fillStyle = colour("mark-colour");
      g.fillRect(word.start * this.#scale - from, 0, (word.end - word.start) * this.#scale, PLOT_HEIGHT);
    }
    if (this.#blind) paintProgress(g, take, width, this.#position);
    else {
      paintWave(g, take, from, this.#scale, width);
      paintPitch(g, take, from, this.#scale, width);
    }
    if (this.#blind) return;
    g.fillStyle = colour("head-colour");
    g.fillRect(Math.round(this.#position * this.#scale - from) - 1, 0, 2, PLOT_HEIGHT);
  }
}

/** The colour of a class: canvas does not resolve CSS variables. @param {string} name */
function colour(name) {
  let probe = document.querySelector(`.${name}`);
  if (!probe) {
    probe = h("span", { class: `${name} visually-hidden`, "aria-hidden": "true" });
    document.body.append(/** @type {Node} */ (probe));
  }
  return getComputedStyle(/** @type {Element} */ (probe)).color;
}

/**
 * @param {CanvasRenderingContext2D} g
 * @param {import("./take.js").Take} take
 * @param {number} from first pixel
 * @param {number} scale pixels per second
 * @param {number} width
 */
function paintWave(g, take, from, scale, width) {
  const binsPerPixel = RATE / BIN / scale;
  const peak = Math.max(0.1, take.peak);
  const middle = PLOT_HEIGHT / 2;
  g.fillStyle = colour("wave-colour");
  for (let x = 0; x < width; x++) {
    const first = Math.floor((from + x) * binsPerPixel);
    const last = Math.max(first + 1, Math.floor((from + x + 1) * binsPerPixel));
    let level = 0;
    for (let i = first; i < last; i++) level = Math.max(level, take.envelope[i] ?? 0);
    if (first >= take.envelope.length) break;
    const half = Math.max(0.5, (level / peak) * (middle - 6));
    g.fillRect(x, middle - half, 1, 2 * half);
  }
}

/**
 * The pitch on a logarithmic scale that fits the take.
 * @param {CanvasRenderingContext2D} g
 * @param {import("./take.js").Take} take
 * @param {number} from
 * @param {number} scale
 * @param {number} width
 */
function paintPitch(g, take, from, scale, width) {
  if (!take.pitchRange) return;
  const low = 0.85 * take.pitchRange[0];
  const high = Math.max(1.15 * take.pitchRange[1], 1.6 * low);
  const y = (/** @type {number} */ hz) =>
    PLOT_HEIGHT - 6 - (Math.log(hz / low) / Math.log(high / low)) * (PLOT_HEIGHT - 12);
  const ink = colour("pitch-colour");
  g.strokeStyle = ink;
  g.lineWidth = 2.5;
  g.lineCap = g.lineJoin = "round";
  for (const { start, hop, hz } of take.pitch) {
    g.beginPath();
    const first = Math.max(0, Math.floor(((from - 10) / scale - start) / hop));
    const last = Math.min(hz.length, Math.ceil(((from + width + 10) / scale - start) / hop));
    for (let i = first; i < last; i++) {
      const x = (start + (i + 0.5) * hop) * scale - from;
      if (hz[i] > 0 && hz[i - 1] > 0 && i > first) g.lineTo(x, y(hz[i]));
      else if (hz[i] > 0) g.moveTo(x, y(hz[i]));
    }
    g.stroke();
  }
  g.font = "11px system-ui, sans-serif";
  g.textAlign = "right";
  g.fillStyle = colour("hint");
  for (const hz of [50, 75, 100, 150, 200, 300, 400, 600]) {
    if (hz <= low || hz >= high) continue;
    const at = y(hz);
    g.fillText(`${hz} Hz`, width - 6, Math.max(10, at - 3));
    g.globalAlpha = 0.25;
    g.fillRect(0, Math.round(at), width, 1);
    g.globalAlpha = 1;
  }
}

/**
 * Only how far a take has been played.
 * @param {CanvasRenderingContext2D} g
 * @param {import("./take.js").Take} take
 * @param {number} width
 * @param {number} position
 */
function paintProgress(g, take, width, position) {
  const middle = PLOT_HEIGHT / 2;
  g.fillStyle = colour("wave-colour");
  g.fillRect(0, middle - 3, width, 6);
  g.fillStyle = colour("head-colour");
  g.fillRect(0, middle - 3, (width * position) / take.duration, 6);
}
