// Changes to people, the latest first, each with its undo.

import { api } from "./api.js";
import { h, icon } from "./dom.js";
import { when } from "./format.js";
import { may } from "./session.js";
import { empty } from "./states.js";
import { text } from "./text.js";
import { undo } from "./toasts.js";

export async function historyView() {
  const { operations } = await api.operations();
  return h(
    "div",
    {},
    h("h1", {}, text.history.title),
    h("p.lead", {}, text.history.lead),
    operations.length ? h("ol.log", {}, operations.map(row)) : empty("history", text.history.empty),
  );
}

function row(operation) {
  const { id, kind, time, actor, summary, undone, can_undo: canUndo } = operation;
  return h(
    undone ? "li.card.log-row.is-undone" : "li.card.log-row",
    {},
    h("div.grow", {}, h("p.strong", {}, summary || text.history.kinds[kind] || kind), h("p.hint", {}, `${when(time)} · ${text.history.by(actor)}`)),
    undone
      ? h("span.hint", {}, text.history.undone)
      : canUndo && may("write")
        ? h("button", { type: "button", onclick: () => undo(id) }, icon("undo"), text.history.undo)
        : h("span.hint", {}, text.history.cannot),
  );
}
