// Ids, to be copied.

import { fill, h, icon, iconButton } from "./dom.js";
import { text } from "./text.js";

const SAID_MS = 2000;

/** An id in full with a button that copies it. Browsers let a page do so over HTTPS and on this machine only. */
export function copyable(id) {
  const code = h("code", id);
  const said = h("span.sr-only", { role: "status" });
  const button = iconButton("copy", text.copy.copy, copy);
  button.classList.add("copy");
  async function copy() {
    let words = text.copy.done;
    try {
      await navigator.clipboard.writeText(id);
      fill(button, icon("tick"));
    } catch {
      getSelection().selectAllChildren(code);
      words = text.copy.byHand;
    }
    said.textContent = button.title = words;
    setTimeout(() => {
      fill(button, icon("copy"));
      said.textContent = "";
      button.title = text.copy.copy;
    }, SAID_MS);
  }
  return h("span.copyable", code, button, said);
}
