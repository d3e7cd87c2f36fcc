/** What the browser keeps. Storage may be blocked or full; the page then works without it. */

const PREFIX = "intona.";

/**
 * @param {string} name
 * @param {unknown} fallback
 */
export function load(name, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/**
 * @param {string} name
 * @param {unknown} value null removes it
 */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // see above
  }
}

let key = "";
try {
  key = sessionStorage.getItem(PREFIX + "key") ?? "";
} catch {
  // see above
}

/** The API key of this tab, "" if there is none. */
export function apiKey() {
  return key;
}

/** @param {string} value */
export function useApiKey(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(PREFIX + "key", value);
    else sessionStorage.removeItem(PREFIX + "key");
  } catch {
    // see above
  }
}
