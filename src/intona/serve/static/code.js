/** The request as curl and as Python. */

import { apiKey } from "./store.js";
import { address } from "./api.js";
import { byId, copy, h } from "./dom.js";

const KEY_VARIABLE = "INTONA_API_KEY";

/** Two listings with copy buttons. */
export class Code {
  constructor() {
    this.curl = listing("curl");
    this.python = listing("Python");
    byId("code-body").append(this.curl.element, this.python.element);
  }

  /**
   * @param {Record<string, unknown>} fields of the request
   * @param {boolean} hasReference
   */
  show(fields, hasReference) {
    this.curl.code.textContent = curl(fields, hasReference);
    this.python.code.textContent = python(fields, hasReference);
  }
}

/** @param {string} title */
function listing(title) {
  const code = h("code", { translate: "no" });
  const button = h("button", { type: "button", class: "quiet", "aria-label": `Copy ${title}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await copy(code.textContent ?? "");
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  const head = h("div", { class: "label-row" }, h("h3", {}, title), button);
  return { code, element: h("div", { class: "listing" }, head, h("pre", { tabindex: 0 }, code)) };
}

/**
 * @param {Record<string, unknown>} fields
 * @param {boolean} hasReference
 */
function curl(fields, hasReference) {
  const quote = (/** @type {string} */ text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = [`curl ${quote(address("v1/intona/speech"))}`];
  if (apiKey()) lines.push(`-H "Authorization: Bearer $${KEY_VARIABLE}"`);
  if (hasReference) {
    for (const [name, value] of Object.entries(fields))
      lines.push(`--form-string ${quote(`${name}=${value}`)}`);
    lines.push("-F reference=@reference.wav");
  } else lines.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(fields))}`);
  lines.push(`-o speech.${fields.response_format}`);
  return lines.join(" \\\n  ");
}

/**
 * OpenAI's client, or the server's route for all options where that client lacks one.
 * @param {Record<string, any>} fields
 * @param {boolean} hasReference
 */
function python(fields, hasReference) {
  const { text, model, response_format: format, speaker, rate, style, ...others } = fields;
  const key = apiKey() ? `os.environ["${KEY_VARIABLE}"]` : '"none"';
  const head = [
    ...(apiKey() ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(address("v1"))}, api_key=${key})`,
  ];
  if (!Object.keys(others).length && !hasReference) {
    const call = {
      model,
      voice: speaker ? `${model}:${speaker}` : model,
      input: text,
      response_format: format,
      ...(rate === undefined ? {} : { speed: rate }),
      ...(style === undefined ? {} : { instructions: style }),
    };
    const rows = Object.entries(call).map(([name, value]) => `    ${name}=${literal(value)},`);
    head.push("", "with client.audio.speech.with_streaming_response.create(", ...rows, ") as response:");
    head.push(`    response.stream_to_file("speech.${format}")`);
    return head.join("\n");
  }
  const imports = ["import json", "import urllib.request", "from pathlib import Path"];
  if (apiKey()) imports.splice(1, 0, "import os");
  if (hasReference) imports.unshift("import base64");
  const authorization = apiKey() ? [`headers["Authorization"] = "Bearer " + ${key}`] : [];
  const rows = Object.entries(fields).map(([name, value]) => `    ${literal(name)}: ${literal(value)},`);
  if (hasReference)
    rows.push('    "reference": base64.b64encode(Path("reference.wav").read_bytes()).decode(),');
  return [
    ...imports,
    "",
    "body = {",
    ...rows,
    "}",
    'headers = {"Content-Type": "application/json"}',
    ...authorization,
    `url = ${literal(address("v1/intona/speech"))}`,
    "request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)",
    "with urllib.request.urlopen(request) as response:",
    `    Path("speech.${format}").write_bytes(response.read())`,
  ].join("\n");
}

/** A value as Python writes it. @param {unknown} value */
function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}
