// What stands where content is not, or not yet.

import { Problem } from "./api.js";
import { h, icon, fill } from "./dom.js";
import { text } from "./text.js";

export const loading = (words = text.loading) =>
  h("div.state.loading", { role: "status" }, h("span.spinner", { "aria-hidden": "true" }), words);

export const empty = (name, title, hint, ...actions) =>
  h("div.state", icon(name), h("p.state-title", title), hint ? h("p", hint) : null, h("div.row.centred", actions));

export function failed(error, retry) {
  if (!(error instanceof Problem)) console.error(error);
  return h(
    "div.state.failed",
    { role: "alert" },
    icon("alert"),
    h("p.state-title", error.title && error.title !== error.message ? error.title : text.errors.title),
    h("p", error.message),
    retry ? h("button", { type: "button", onclick: retry }, text.tryAgain) : null,
  );
}

const latest = new WeakMap();

/**
 * Show `load`'s element in `place`: waiting first, an error with "Try again" where it fails. Where it was called
 * again meanwhile, what an earlier call loaded is dropped, for answers come in any order.
 */
export async function loadInto(place, load, words) {
  const isLatest = () => latest.get(place) === load;
  latest.set(place, load);
  place.setAttribute("aria-busy", "true");
  fill(place, loading(words));
  try {
    const content = await load();
    if (isLatest()) fill(place, content);
  } catch (error) {
    if (error.name !== "AbortError" && isLatest()) fill(place, failed(error, () => loadInto(place, load, words)));
  } finally {
    if (isLatest()) place.removeAttribute("aria-busy");
  }
}

/** A line about what went wrong, beside the control that caused it. */
export const complaint = (message) => h("p.complaint", { role: "alert" }, icon("alert"), h("span", message));
