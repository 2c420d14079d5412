// Short notes at the edge of the page, some with an undo.

import { api } from "./api.js";
import { h, icon } from "./dom.js";
import { refresh } from "./router.js";
import { text } from "./text.js";

const SHOWN_MS = 8000;
const shelf = h("div.toasts", { role: "status", "aria-live": "polite" });

export const toastShelf = () => shelf;

export function toast(message, { kind = "note", action } = {}) {
  const note = h(
    `div.toast.${kind}`,
    {},
    h("span.grow", {}, message),
    action ? h("button.quiet", { type: "button", onclick: () => { note.remove(); action.run(); } }, icon("undo"), action.label) : null,
    h("button.icon-button", { type: "button", "aria-label": text.close, onclick: () => note.remove() }, icon("close")),
  );
  shelf.append(note);
  let timer = setTimeout(() => note.remove(), SHOWN_MS);
  const hold = () => clearTimeout(timer);
  const release = () => {
    hold();
    timer = setTimeout(() => note.remove(), SHOWN_MS);
  };
  note.addEventListener("pointerenter", hold);
  note.addEventListener("focusin", hold);
  note.addEventListener("pointerleave", release);
  note.addEventListener("focusout", release);
}

export const complain = (error) => toast(error.message, { kind: "problem" });

export async function undo(id) {
  try {
    await api.undo(id);
    toast(text.history.didUndo);
  } catch (error) {
    complain(error);
  }
  refresh();
}

/** Run an operation on people; say that it is done and offer to undo it. Returns it, or null where it failed. */
export async function operate(run) {
  try {
    const operation = await run();
    toast(text.history.done[operation.kind] ?? operation.summary, {
      action: { label: text.history.undo, run: () => undo(operation.id) },
    });
    return operation;
  } catch (error) {
    complain(error);
    return null;
  }
}
