// Keys: / searches, j and k go through rows or messages, Enter opens, u goes up to the list.
"use strict";
(() => {
  const list = document.querySelector(".rows") !== null || document.querySelector(".search") !== null;
  const stops = [...document.querySelectorAll(".row, .message")];
  let at = stops.findIndex((stop) => "#" + stop.id === location.hash);
  const kept = "chatlake-list";

  if (list) sessionStorage.setItem(kept, location.pathname + location.search);
  const up = document.querySelector("[data-up]");
  if (up && sessionStorage.getItem(kept)?.startsWith("/?")) up.href = sessionStorage.getItem(kept);

  const opened = document.getElementById(location.hash.slice(1));
  if (opened) for (let fold = opened.querySelector("details"); fold && !fold.open; ) fold.open = true;

  function go(step) {
    if (!stops.length) return;
    stops[at]?.classList.remove("at");
    at = Math.min(stops.length - 1, Math.max(0, at + step));
    stops[at].classList.add("at");
    if (stops[at].matches("a")) stops[at].focus({ preventScroll: true });
    stops[at].scrollIntoView({ block: list ? "nearest" : "start" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input, select, textarea");
    if (field) {
      if (event.key === "Escape") field.blur();
      return;
    }
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { search.focus(); search.select(); } else location.href = "/#search";
    } else if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "u") { if (up) location.href = up.href; else if (location.pathname !== "/" || location.search) location.href = "/"; }
    else if (event.key === "Enter" && stops[at] && !event.target.closest("a, summary, button")) {
      if (stops[at].matches("a")) location.href = stops[at].href;
      else { const fold = stops[at].querySelector("details"); if (fold) fold.open = !fold.open; }
    } else return;
    event.preventDefault();
  });
  if (location.hash === "#search") document.querySelector("input[type=search]")?.focus();
})();
