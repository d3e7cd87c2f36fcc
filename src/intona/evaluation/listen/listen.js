"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const words = test.words;
const app = document.getElementById("app");
const store = "intona-listen:" + test.id;
const CODE = /^[a-z0-9_-]{1,32}$/;

// The same arithmetic as order.py: FNV-1a, mulberry32, Fisher-Yates.
const fnv1a = (text) => {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
};
const shuffler = (seed) => {
  let state = seed | 0;
  const below = (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  };
  const shuffled = (values) => {
    const out = [...values];
    for (let i = out.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };
  return { below, shuffled };
};
const order = (rater) => {
  const draw = shuffler(fnv1a(test.id + "|" + rater));
  const groups = draw.shuffled([...new Set(test.trials.map((t) => t.group))]).slice(0, test.per_rater || undefined);
  const queues = new Map();
  for (const g of groups) queues.set(g, draw.shuffled(test.trials.filter((t) => t.group === g)));
  const trials = [];
  const turns = Math.max(...[...queues.values()].map((queue) => queue.length));
  for (let turn = 0; turn < turns; turn++) {
    const row = draw.shuffled(groups);
    const end = row.length - 1;
    if (trials.length && row[0] === trials[trials.length - 1].group) [row[0], row[end]] = [row[end], row[0]];
    for (const g of row) if (turn < queues.get(g).length) trials.push(queues.get(g)[turn]);
  }
  const checks = draw.shuffled(test.checks);
  const stretch = Math.floor(trials.length / (checks.length || 1));
  checks.forEach((check, number) => {
    trials.splice(number * stretch + number + (stretch ? draw.below(stretch) : 0), 0, check);
  });
  return trials.map((t) => ({ ...t, clips: draw.shuffled(t.clips) }));
};

// What is kept in the browser: {last: code, raters: {code: {trial: answer}}}.
let kept = { last: "", raters: {} };
try {
  const stored = JSON.parse(localStorage.getItem(store));
  if (stored && typeof stored.raters === "object") kept = stored;
} catch { /* storage is disabled: the answers last as long as the page */ }
const keep = () => { try { localStorage.setItem(store, JSON.stringify(kept)); } catch { /* as above */ } };

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((c) => c != null));
  return element;
};

let rater = "", trials = [], at = 0;
const answers = () => kept.raters[rater];
let keys = {};
let quiet = () => {};

const show = (...children) => {
  quiet();
  app.replaceChildren(...children.filter(Boolean));
  scrollTo(0, 0);
  const first = app.querySelector("[data-focus]");
  if (first) first.focus();
};

const welcome = () => {
  keys = {};
  const code = make("input", { id: "code", autocomplete: "off", autocapitalize: "none", spellcheck: "false",
    maxlength: 32, value: kept.last || "", "aria-describedby": "hint", "data-focus": true });
  const warning = make("p", { role: "alert", class: "warning" });
  const start = (event) => {
    event.preventDefault();
    const wanted = code.value.trim().toLowerCase();
    if (!CODE.test(wanted)) { warning.textContent = words.code_hint; code.focus(); return; }
    rater = wanted;
    kept.last = rater;
    kept.raters[rater] = kept.raters[rater] || {};
    keep();
    trials = order(rater);
    at = trials.findIndex((t) => !answers()[t.id]);
    if (at < 0) finish(); else trial();
  };
  const lines = [words.intro, words.hear, words.blind, test.checks.length ? words.check : null, words.kept, hint()];
  show(
    make("h1", {}, words.title),
    make("p", { class: "question" }, words.question),
    make("ul", {}, ...lines.filter(Boolean).map((line) => make("li", {}, line))),
    make("form", { onsubmit: start },
      make("label", { for: "code" }, words.code), code,
      make("p", { id: "hint", class: "note" }, words.code_hint), warning,
      make("button", { class: "main", id: "start" }, words.start)),
  );
};
const hint = () => test.kind === "cmos" ? words.keys_cmos : test.kind === "mushra" ? words.keys_mushra : words.keys_five;

// One clip: a button that plays and pauses, a bar, and whether it was played to the end.
const player = (file, label, changed) => {
  const audio = new Audio("audio/" + file);
  audio.preload = "auto";
  const one = { audio, heard: false, plays: 0 };
  const bar = make("progress", { max: 1, value: 0, "aria-hidden": "true" });
  const button = make("button", { type: "button", class: "play" });
  const paint = () => {
    button.textContent = (audio.paused ? "▶ " + words.play : "❚❚ " + words.pause) + ": " + label + (one.heard ? " ✓" : "");
  };
  one.toggle = () => {
    if (!audio.paused) { audio.pause(); return; }
    for (const other of playing) if (other !== one) other.audio.pause();
    if (audio.ended) audio.currentTime = 0;
    if (audio.currentTime === 0) one.plays++;
    audio.play().catch(() => {});
  };
  button.addEventListener("click", one.toggle);
  for (const name of ["play", "pause"]) audio.addEventListener(name, paint);
  audio.addEventListener("timeupdate", () => { if (audio.duration) bar.value = audio.currentTime / audio.duration; });
  audio.addEventListener("ended", () => { one.heard = true; bar.value = 1; paint(); changed(); });
  audio.addEventListener("error", () => { app.querySelector("#status").textContent = words.broken; });
  paint();
  one.box = make("div", { class: "player" }, button, bar);
  return one;
};
let playing = [];

const trial = () => {
  const now = trials[at];
  const began = performance.now();
  const old = answers()[now.id];
  const scores = {};
  const status = make("p", { id: "status", role: "status", class: "note" });
  const next = make("button", { type: "button", class: "main", id: "next" }, words.next);
  const ready = () => {
    const heard = playing.every((p) => p.heard) || Boolean(old);
    const complete = Object.keys(scores).length === (test.kind === "mushra" ? now.clips.length : 1);
    next.setAttribute("aria-disabled", String(!(heard && complete)));
    return heard ? (complete ? "" : words.answer_first) : words.listen_first;
  };
  const go = () => {
    const missing = ready();
    if (missing) { status.textContent = missing; return; }
    answers()[now.id] = {
      scores: { ...scores }, clips: now.clips,
      plays: playing.reduce((sum, p) => sum + p.plays, 0) + (old ? old.plays : 0),
      seconds: Math.round((performance.now() - began) / 100) / 10 + (old ? old.seconds : 0),
    };
    keep();
    if (at + 1 < trials.length) { at++; trial(); } else finish();
  };
  next.addEventListener("click", go);
  const name = (i) => test.kind === "cmos" ? [words.first, words.second][i]
    : now.clips.length > 1 ? words.clip + " " + String.fromCharCode(65 + i) : words.clip;
  const made = now.clips.map((file, i) => player(file, name(i), ready));
  const reference = now.reference ? player(now.reference, words.reference, ready) : null;
  const all = reference ? [reference, ...made] : made;
  keys = { Enter: go };
  made.forEach((p, i) => { keys[String.fromCharCode(97 + i)] = p.toggle; });
  if (reference) keys.r = reference.toggle; else keys[" "] = made[0].toggle;

  let body;
  if (test.kind === "mushra") {
    const rows = made.map((p, i) => {
      const file = now.clips[i];
      const shown = make("output", { id: "out" + i }, words.not_set);
      const slider = make("input", { type: "range", min: test.low, max: test.high, step: 1, value: 50,
        "aria-label": name(i), class: "unset", "data-clip": file });
      const set = () => { scores[file] = Number(slider.value); shown.textContent = slider.value; slider.classList.remove("unset"); ready(); };
      slider.addEventListener("input", set);
      slider.addEventListener("change", set);
      if (old && file in old.scores) { slider.value = old.scores[file]; set(); }
      return make("div", { class: "row" }, p.box, slider, shown);
    });
    const scale = make("div", { class: "scale", "aria-hidden": "true" },
      ...Object.entries(words.labels).map(([range, label]) => make("span", {}, label, make("small", {}, " " + range))));
    body = make("div", {}, reference.box, scale, ...rows);
  } else {
    const values = [];
    for (let v = test.low; v <= test.high; v++) values.push(v);
    const ascending = test.kind === "cmos" ? values : [...values].reverse();
    const choices = ascending.map((value) => {
      const input = make("input", { type: "radio", name: "score", id: "s" + value, value });
      input.addEventListener("change", () => { scores.score = value; ready(); });
      if (old && old.scores.score === value) { input.checked = true; scores.score = value; }
      const sign = test.low < 0 && value > 0 ? "+" + value : String(value).replace("-", "−");
      keys[test.kind === "cmos" ? String(value - test.low + 1) : String(value)] = () => { input.click(); input.focus(); };
      return make("label", { for: "s" + value, class: "choice" }, input, make("b", {}, sign), " ", words.labels[value]);
    });
    body = make("div", {}, ...made.map((p) => p.box),
      make("fieldset", { class: test.kind }, make("legend", {}, words.question), ...choices));
  }
  const count = words.item.replace("{i}", at + 1).replace("{n}", trials.length);
  const back = make("button", { type: "button", disabled: at === 0 }, words.back);
  back.addEventListener("click", () => { at--; trial(); });
  show(
    make("p", { class: "count" }, make("span", { tabindex: -1, "data-focus": true }, count),
      make("progress", { max: trials.length, value: at, "aria-label": count })),
    test.kind === "mushra" ? make("p", { class: "question" }, words.question) : null,
    body, status,
    make("p", { class: "buttons" }, back, next),
    make("p", { class: "note" }, hint()),
    make("p", { class: "note" }, make("button", { type: "button", class: "link", onclick: () => save() }, words.so_far)),
  );
  playing = all;
  quiet = () => { for (const p of all) p.audio.pause(); };
  ready();
};

const COLUMNS = ["test", "kind", "wording", "rater", "position", "trial", "clip", "versus", "score", "plays", "seconds"];
const csv = () => {
  const lines = [COLUMNS.join(",")];
  trials.forEach((t, position) => {
    const found = answers()[t.id];
    if (!found) return;
    const rest = (clip, versus, score) =>
      [test.id, test.kind, test.version, rater, position + 1, t.id, clip, versus, score, found.plays, found.seconds.toFixed(1)];
    if (test.kind === "mushra") for (const clip of found.clips) lines.push(rest(clip, "", found.scores[clip]).join(","));
    // CMOS: the score says how the second (clip) compares with the first (versus).
    else if (test.kind === "cmos") lines.push(rest(found.clips[1], found.clips[0], found.scores.score).join(","));
    else lines.push(rest(found.clips[0], "", found.scores.score).join(","));
  });
  return lines.join("\n") + "\n";
};
const save = () => {
  const link = make("a", { download: "results-" + test.id + "-" + rater + ".csv",
    href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })) });
  document.body.append(link);
  link.click();
  link.remove();
};
const finish = () => {
  keys = {};
  const back = make("button", { type: "button" }, words.back);
  back.addEventListener("click", () => { at = trials.length - 1; trial(); });
  const area = make("textarea", { readonly: true, rows: 8, id: "csv", "aria-label": words.copy });
  area.value = csv();
  show(
    make("h1", { tabindex: -1, "data-focus": true }, words.done),
    make("p", {}, words.send),
    make("p", { class: "buttons" }, back, make("button", { type: "button", class: "main", id: "download", onclick: save }, words.download)),
    make("p", {}, words.copy), area,
  );
  quiet = () => {};
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const on = event.target;
  if (on.tagName === "INPUT" && on.type === "text" || on.tagName === "TEXTAREA") return;
  // Space and Enter press a focused button without our help.
  if (on.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
  // Letters by their position on the keyboard: with a Russian layout the key A types "ф".
  const action = keys[/^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : event.key];
  if (action) { event.preventDefault(); action(); }
});
welcome();
