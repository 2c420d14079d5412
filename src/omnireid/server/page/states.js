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

/** Show `load`'s element in `place`: waiting first, an error with "Try again" where it fails. */
export async function loadInto(place, load, words) {
  place.setAttribute("aria-busy", "true");
  fill(place, loading(words));
  try {
    fill(place, await load());
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(place, failed(error, () => loadInto(place, load, words)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** A line about what went wrong, beside the control that caused it. */
export const complaint = (message) => h("p.complaint", { role: "alert" }, icon("alert"), h("span", message));
