/** Requests to the server that this page comes from. */

import { apiKey } from "./store.js";

/**
 * @typedef {object} Option an option of speech as the server describes it
 * @property {string} name
 * @property {string} label
 * @property {string} help
 * @property {"number" | "integer" | "text" | "flag" | "choice" | "recording"} type
 * @property {number} [min]
 * @property {number} [max]
 * @property {[number, number, number]} [slider] first, last and step of a slider
 * @property {string[]} [choices]
 * @property {Record<string, string>} [labels] how some of the choices are shown
 * @property {number | string | boolean | null} default
 * @property {boolean} advanced
 *
 * @typedef {object} Voice
 * @property {string} id
 * @property {string} summary
 * @property {string | null} vocoder
 * @property {string[]} languages
 * @property {string[]} speakers
 * @property {boolean} times
 * @property {boolean} streams
 * @property {boolean} needs_reference_text
 * @property {Option[]} options
 *
 * @typedef {object} Description
 * @property {Voice[]} voices
 * @property {string[]} formats
 * @property {{characters: number, reference_seconds: number, reference_bytes: number}} limits
 *
 * @typedef {{text: string, start: number, end: number, after: string, sentence: number,
 *   phones: {symbol: string, start: number, end: number}[]}} TimedWord
 */

const MAX_TRIES = 6;
const UNREACHABLE = "The server cannot be reached. Check that it is still running.";

/** An error in words that can be shown. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, retryAfter?: number, param?: string | null}} [details]
   */
  constructor(message, { status = 0, retryAfter = 0, param = null } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.param = param;
  }
}

/**
 * The address of a route. It is relative to the page, which may be served below a prefix.
 * @param {string} path
 */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/**
 * Fetch a route. While the server is busy (429) it is tried again.
 * @param {string} path
 * @param {{body?: FormData | object, signal?: AbortSignal, onWait?: (seconds: number) => void}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, { body, signal, onWait } = {}) {
  for (let i = 1; ; i++) {
    try {
      return await once(path, body, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 429 || i === MAX_TRIES) throw error;
      const seconds = Math.min(Math.max(error.retryAfter, 1), 60);
      onWait?.(seconds);
      await pause(seconds, signal);
    }
  }
}

/**
 * Speak. `onEvent` is called for each server-sent event, `onWarning` for what the voice warns of.
 * @param {FormData | object} body
 * @param {{signal: AbortSignal, onEvent: (event: any) => void, onWait: (seconds: number) => void,
 *   onWarning: (message: string) => void}} options
 */
export async function speak(body, { signal, onEvent, onWait, onWarning }) {
  const response = await request("v1/intona/speech", { body, signal, onWait });
  for (const message of JSON.parse(response.headers.get("X-Intona-Warnings") ?? "[]"))
    onWarning(sentence(message));
  let done = false;
  try {
    for await (const event of events(/** @type {ReadableStream} */ (response.body))) {
      if (event.type === "error") throw new ApiError(sentence(event.error?.message ?? "the server failed"));
      done ||= event.type === "speech.audio.done";
      onEvent(event);
    }
  } catch (error) {
    if (error instanceof TypeError)
      throw new ApiError("The connection was lost before the speech was complete.");
    throw error;
  }
  if (!done) throw new ApiError("The connection ended before the speech was complete.");
}

/**
 * Fields as the body of a request: JSON, or a form if there is a recording.
 * @param {Record<string, unknown>} fields
 * @param {Blob | null} reference
 */
export function bodyOf(fields, reference) {
  if (!reference) return fields;
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  form.append("reference", reference, "reference.wav");
  return form;
}

/**
 * @param {string} path
 * @param {FormData | object | undefined} body
 * @param {AbortSignal | undefined} signal
 */
async function once(path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {};
  const isForm = body instanceof FormData;
  if (body && !isForm) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method: body ? "POST" : "GET",
      body: isForm ? body : body && JSON.stringify(body),
      headers,
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(UNREACHABLE);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** @param {Response} response */
async function errorOf(response) {
  const { status } = response;
  let message = "";
  let param = null;
  try {
    ({ message, param = null } = (await response.json()).error);
  } catch {
    // not from intona, but from a proxy before it
  }
  if (status === 401) {
    message = apiKey() ? "The server does not accept this API key." : "This server needs an API key.";
  } else if (status === 429) message = "The server is busy. Try again in a moment.";
  else if (status === 413) message = `That is too much for one request: ${message || "send less"}.`;
  else if (status >= 500) message = message ? sentence(message) : `The server failed (status ${status}).`;
  else message = message ? sentence(message) : `The server refused the request (status ${status}).`;
  return new ApiError(message, {
    status,
    param,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : whole + ".";
}

/**
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/**
 * The events of a stream.
 * @param {ReadableStream<any>} body
 */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trim())
        .join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}
