"use strict";
/* What every page has: finding and saying, tables that sort, light and dark, a command to copy. */
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const say = (text) => { $("#live").textContent = text; };

(() => {
  // Tables that can be sorted by a column: each cell says its value in data-value.
  for (const button of $$(".sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), table = head.closest("table"), body = [...table.tBodies].at(-1);
      const column = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const order = button.dataset.kind === "number"
        ? (a, b) => Number(value(a)) - Number(value(b))
        : (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true });
      body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(a, b)));
      say(`Sorted by ${button.textContent}, ${down ? "descending" : "ascending"}.`);
    });
  }

  // Light and dark: the system's choice until the reader makes one.
  const theme = $("#theme"), dark = matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    theme.removeAttribute("aria-pressed");
  };
  try { if (localStorage.subterfugeTheme) root.dataset.theme = localStorage.subterfugeTheme; } catch { /* not kept */ }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.subterfugeTheme = root.dataset.theme; } catch { /* not kept */ }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();

  for (const button of $$(".copy")) {
    button.addEventListener("click", async () => {
      const code = $("code", button.parentElement);
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      say("Command copied.");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
})();
