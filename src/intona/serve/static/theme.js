// A classic script: it sets the theme before the page is drawn.
"use strict";
(() => {
  const KEY = "intona.theme";
  const root = document.documentElement;
  /** @param {string} theme "light", "dark", or "" for that of the system */
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  let stored = "";
  try {
    stored = localStorage.getItem(KEY) ?? "";
  } catch {
    // storage is blocked: the theme lasts as long as the page
  }
  apply(stored);
  document.addEventListener("DOMContentLoaded", () => {
    const select = /** @type {HTMLSelectElement} */ (document.getElementById("theme"));
    select.value = stored;
    select.addEventListener("change", () => {
      apply(select.value);
      try {
        localStorage.setItem(KEY, select.value);
      } catch {
        // see above
      }
      window.dispatchEvent(new Event("themechange"));
    });
  });
})();
