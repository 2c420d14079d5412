// Shortcuts. Single keys do nothing while something is typed, or when they are switched off.

import { ask } from "./dialogs.js";
import { checkbox, h } from "./dom.js";
import { go } from "./router.js";
import { search } from "./search.js";
import { getToken, may, session, setToken } from "./session.js";
import { store, stored } from "./storage.js";
import { text } from "./text.js";
import { nextTheme } from "./theme.js";
import { undoLast } from "./toasts.js";

const OFF = "omnireid-keys-off";

const isOff = () => stored(OFF) === "1";

const isTyping = (target) => target.matches?.("input:not([type=checkbox]):not([type=radio]), select, textarea");

const ACTIONS = {
  "?": () => showHelp(),
  u: () => may("write") && undoLast(),
  a: () => search.toAnswer(),
  h: () => go("history"),
  t: nextTheme,
};

/** `submit()` runs the view that is shown; `views`: those that numbers lead to. */
export function listenToKeys(submit, views) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    } else if (!(event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isOff())) {
      const view = views[Number(event.key) - 1];
      if (view) go(view);
      else ACTIONS[event.key.toLowerCase()]?.();
    }
  });
}

export function showHelp() {
  return ask(text.keys.title, (close) => [
    h("dl.keys", text.keys.list.map((/** @type {any} */ [keys, words]) => [h("dt", keys.map((key) => (key === "–" ? key : h("kbd", key)))), h("dd", words)])),
    checkbox(text.keys.single, !isOff(), (isOn) => store(OFF, isOn ? "" : "1")),
    h("h3", text.keys.about),
    h("p.hint", text.state.version(session.info?.version ?? ""), ". ", text.keys.aboutText),
    h("p", h("a", { href: "assets/responsible-use.html" }, text.responsibleUse)),
    session.info?.token_required
      ? h("div.row", h("span.hint.grow", text.token.scopes(session.info.scopes)), getToken() ? h("button", { type: "button", onclick: () => { setToken(null); close(null); location.reload(); } }, text.token.forget) : null)
      : null,
  ]);
}
