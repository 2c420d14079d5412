// Changes to people, the latest first, each with its undo; by kind, time, who and person.

import { api } from "./api.js";
import { fill, focusOn, h, icon } from "./dom.js";
import { when } from "./format.js";
import { bounds, fromAddress, isNarrowed, logFilter, noLogFilter, toAddress } from "./logfilter.js";
import { go, link, remember } from "./router.js";
import { may } from "./session.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";
import { undo } from "./toasts.js";

const ALL = 1000; // that the server keeps
const SHOWN = 50;

export async function historyView({ query, isCurrent }) {
  const chosen = { ...noLogFilter(), ...(await fromAddress(query)) };
  if (!isCurrent()) return null;
  const list = h("ol.log", { "aria-label": text.history.title });
  const foot = h("div.row.centred", { role: "status" });
  let latest = 0;

  async function load() {
    latest += 1;
    const mine = latest;
    fill(list);
    fill(foot, loading());
    try {
      const { operations } = await api.operations({ limit: ALL, identity: chosen.person?.id });
      if (mine === latest) show(operations.filter(meets(chosen)));
    } catch (error) {
      if (mine === latest) fill(foot, failed(error, load));
    }
  }

  function show(operations, isMore = false) {
    const rows = operations.slice(0, SHOWN).map(row);
    list.append(...rows);
    if (isMore) focusOn(rows[0]);
    const rest = operations.slice(SHOWN);
    const clear = h("button", { type: "button", onclick: () => go("history") }, text.search.clear);
    const count = h("span.hint", {}, text.browse.shown(list.childElementCount));
    if (rest.length) fill(foot, h("button", { type: "button", onclick: () => show(rest, true) }, text.more), count);
    else if (list.childElementCount) fill(foot, count);
    else fill(foot, empty("history", isNarrowed(chosen) ? text.history.none : text.history.empty, "", ...(isNarrowed(chosen) ? [clear] : [])));
  }

  const choose = () => {
    remember("history", toAddress(chosen));
    return load();
  };
  await load();
  return h(
    "div",
    {},
    h("h1", {}, text.history.title),
    h("p.lead", {}, text.history.lead),
    logFilter(chosen, text.history.kinds, choose),
    list,
    foot,
    may("admin") ? h("p.hint", {}, text.history.proof, " ", h("a", { href: link("audit") }, text.views.audit)) : null,
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
      {},
      h("p.strong", {}, text.history.sentence(actor, summary || text.history.kinds[kind] || kind)),
      h("p.hint", {}, h("time", { dateTime: time }, when(time))),
    ),
    undone
      ? h("span.hint", {}, text.history.undone)
      : canUndo && may("write")
        ? h("button", { type: "button", onclick: () => undo(id) }, icon("undo"), text.history.undo)
        : h("span.hint", {}, text.history.cannot),
  );
}
