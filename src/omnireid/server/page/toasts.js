// Short notes at the edge of the page, some with an undo.

import { api } from "./api.js";
import { action, fill, focusOn, h, icon, iconButton } from "./dom.js";
import { refresh } from "./router.js";
import { text } from "./text.js";

const SHOWN_MS = 8000;
const MOST = 2; // more would cover what lies below
const shelf = h("div.toasts", { role: "status", "aria-live": "polite" });

export const toastShelf = () => shelf;

/** Returns the note; with `takeBack` it has a button that undoes what it tells of. */
export function toast(message, { kind = "note", takeBack = undefined } = {}) {
  const dismiss = () => {
    const hadFocus = note.contains(document.activeElement);
    note.remove();
    if (hadFocus) focusOn(document.querySelector("main"));
  };
  const note = h(
    `div.toast.${kind}`,
    h("span.grow", message),
    takeBack ? action(".quiet", "undo", text.history.undo, () => { dismiss(); takeBack(); }) : null,
    iconButton("close", text.close, dismiss),
  );
  shelf.append(note);
  while (shelf.childElementCount > MOST) shelf.firstElementChild.remove();
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
  return note;
}

export const complain = (error) => toast(error.message, { kind: "problem" });

/** Do what the server may refuse, and say that it is done, or what is wrong. Resolves to whether it was done. */
export async function attempt(run, done = "") {
  try {
    await run();
    if (done) toast(done);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** The same, and show the view anew whatever came of it. */
export async function change(run, done = "") {
  await attempt(run, done);
  refresh();
}

/** This tab's operations that may still be undone, the latest last: { id, words, note }. */
let done = [];
const button = h("button.undo", { type: "button", hidden: true, onclick: () => undoLast() });

/** For the header; it shows while this tab has something to undo. */
export const undoButton = () => button;

function showUndo() {
  const last = done.at(-1);
  button.hidden = !last;
  if (!last) return;
  fill(button, icon("undo"), h("span.wide-only", text.history.undo));
  button.title = text.history.undoThis(last.words);
  button.setAttribute("aria-label", button.title);
}

/** Another gallery has other operations. */
export function forgetUndo() {
  done = [];
  showUndo();
}

/** Operations that were undone in this tab, so that what told of them can say so. */
const undone = new Set();
export const wasUndone = (id) => undone.has(id);

/** Something else than `operate` did this: the header and the key can undo it too. */
export function didOperate(id, words) {
  done.push({ id, words });
  showUndo();
}

export async function undo(id) {
  const before = done;
  done.find((one) => one.id === id)?.note?.remove();
  done = done.filter((one) => one.id !== id);
  showUndo();
  try {
    await api.undo(id);
    undone.add(id);
    toast(text.history.didUndo);
  } catch (error) {
    complain(error);
    // What did not arrive can be tried again; what was refused would be refused again.
    if (!error.status) done = before;
    showUndo();
  }
  refresh();
}

let undoing = Promise.resolve();

/** Undo what this tab did last, one after the other; nobody undoes by a key what another did. */
export function undoLast() {
  undoing = undoing.then(() => {
    const last = done.at(-1);
    return last ? undo(last.id) : toast(text.history.nothing);
  });
}

/** Run an operation on people; say that it is done and offer to undo it. Returns it, or null where it failed. */
export async function operate(run) {
  try {
    const operation = await run();
    const words = text.history.done[operation.kind] ?? operation.summary;
    const note = toast(words, { takeBack: () => undo(operation.id) });
    done.push({ id: operation.id, words, note });
    showUndo();
    return operation;
  } catch (error) {
    complain(error);
    return null;
  }
}
