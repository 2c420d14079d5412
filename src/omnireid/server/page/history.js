// Changes to people, the latest first, each with its undo; by kind, time, who and person.

import { api } from "./api.js";
import { action, h, titled } from "./dom.js";
import { when } from "./format.js";
import { logRows } from "./log.js";
import { bounds, fromAddress, logFilter, noLogFilter } from "./logfilter.js";
import { link } from "./router.js";
import { may } from "./session.js";
import { text } from "./text.js";
import { undo } from "./toasts.js";

const ALL = 1000; // that the server keeps
const SHOWN = 50;

export async function historyView({ query, isCurrent }) {
  const chosen = { ...noLogFilter(), ...(await fromAddress(query)) };
  if (!isCurrent()) return null;
  const load = async (after) => {
    const operations = after ?? (await api.operations({ limit: ALL, identity: chosen.person?.id })).operations.filter(meets(chosen));
    const rest = operations.slice(SHOWN);
    return { rows: operations.slice(0, SHOWN).map(row), next: rest.length ? rest : null };
  };
  const { list, foot, begin, choose } = logRows("history", text.history, chosen, load, text.browse.shown);
  await begin();
  return titled(
    text.history.title,
    text.history.lead,
    logFilter(chosen, text.history.kinds, choose),
    list,
    foot,
    may("admin") ? h("p.hint", text.history.proof, " ", h("a", { href: link("audit") }, text.views.audit)) : null,
  );
}

function meets(chosen) {
  const { since, until } = bounds(chosen);
  const [from, to] = [since ? Date.parse(since) : -Infinity, until ? Date.parse(until) : Infinity];
  const who = chosen.who.toLowerCase();
  return ({ kind, time, actor }) => {
    const at = Date.parse(time);
    return (!chosen.action || kind === chosen.action) && at >= from && at < to && actor.toLowerCase().includes(who);
  };
}

function row({ id, kind, time, actor, summary, undone, can_undo: canUndo }) {
  return h(
    undone ? "li.card.log-row.is-undone" : "li.card.log-row",
    { dataset: { kind } },
    h(
      "div.grow",
      h("p.strong", text.history.sentence(actor, summary || text.history.kinds[kind] || kind)),
      h("p.hint", h("time", { dateTime: time }, when(time))),
    ),
    undone
      ? h("span.hint", text.history.undone)
      : canUndo && may("write")
        ? action("", "undo", text.history.undo, () => undo(id))
        : h("span.hint", text.history.cannot),
  );
}
