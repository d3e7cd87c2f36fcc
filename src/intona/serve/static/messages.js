/** Messages to the user, and the form for the API key. */

import { ApiError } from "./api.js";
import { byId, h } from "./dom.js";
import { apiKey, useApiKey } from "./store.js";

/** @param {string} message */
export function showStatus(message) {
  byId("status").textContent = message;
}

/** @param {string} message "" hides it */
export function showError(message) {
  byId("error").textContent = message;
  byId("error").hidden = !message;
  if (message) showStatus("");
}

/** @param {string[]} messages what the voice has warned of */
export function showWarnings(messages) {
  byId("warnings").replaceChildren(...messages.map((message) => h("li", {}, message)));
  byId("warnings").hidden = !messages.length;
}

/**
 * Show what went wrong. If the server needs a key, ask for it.
 * @param {unknown} error
 */
export function fail(error) {
  if (!(error instanceof ApiError)) console.error(error);
  showError(error instanceof Error ? error.message : String(error));
  if (error instanceof ApiError && error.status === 401) openKeyForm();
}

/** @param {() => void} onKey called when there is another key */
export function installKeyForm(onKey) {
  const field = /** @type {HTMLInputElement} */ (byId("key"));
  byId("key-button").hidden = !apiKey();
  byId("key-button").addEventListener("click", () => {
    if (byId("key-form").hidden) openKeyForm();
    else byId("key-form").hidden = true;
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useApiKey(field.value.trim());
    byId("key-form").hidden = true;
    showError("");
    onKey();
  });
  byId("key-forget").addEventListener("click", () => {
    useApiKey("");
    field.value = "";
  });
}

function openKeyForm() {
  byId("key-form").hidden = byId("key-button").hidden = false;
  byId("key").focus();
}
