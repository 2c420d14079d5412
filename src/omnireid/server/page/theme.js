// Light, dark, or as the system has it.

import { fill, h, icon } from "./dom.js";
import { store } from "./storage.js";
import { text } from "./text.js";

const THEMES = ["auto", "light", "dark"];

const current = () => document.documentElement.dataset.theme ?? "auto";

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  store("theme", theme === "auto" ? "" : theme);
}

const button = h("button.icon-button", { type: "button", id: "theme", onclick: nextTheme });

function label() {
  const words = text.theme[current()];
  button.title = words;
  button.setAttribute("aria-label", words);
  fill(button, icon(current()));
}

export function nextTheme() {
  apply(THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length]);
  label();
}

export function themeButton() {
  label();
  return button;
}
