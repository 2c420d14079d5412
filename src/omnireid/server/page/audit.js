// The audit log: who did what and when, in words. The latest first; by action, time, who and person; as a file.

import { api } from "./api.js";
import { download } from "./download.js";
import { fill, focusOn, h, icon } from "./dom.js";
import { day, when } from "./format.js";
import { bounds, fromAddress, isNarrowed, logFilter, noLogFilter, toAddress } from "./logfilter.js";
import { go, remember } from "./router.js";
import { may } from "./session.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";
import { complain, toast } from "./toasts.js";

const SHOWN = 50;

export async function auditView({ query, isCurrent }) {
  if (!may("admin")) return empty("audit", text.audit.title, text.audit.mayNot);
  const chosen = { ...noLogFilter(), ...(await fromAddress(query)) };
  if (!isCurrent()) return null;
  const list = h("ol.log", { "aria-label": text.audit.title });
  const foot = h("div.row.centred", { role: "status" });
  const filters = h("div");
  let latest = 0;
  let looked = 0;

  const asked = () => ({ subject: chosen.person?.id, action: chosen.action, actor: chosen.who, ...bounds(chosen) });

  async function page(after) {
    latest += 1;
    const mine = latest;
    fill(foot, loading());
    try {
      const { entries, next, looked: read, looked_to: back, actions } = await api.audit({ ...asked(), limit: SHOWN, after, latest: true });
      if (mine !== latest) return; // another filter was chosen meanwhile
      if (!filters.childElementCount) fill(filters, logFilter(chosen, actions, choose));
      const rows = entries.map((entry) => row(entry, actions));
      list.append(...rows);
      if (after) focusOn(rows[0]);
      looked += read;
      show(next, back);
    } catch (error) {
      if (mine === latest) fill(foot, failed(error, () => page(after)));
    }
  }

  function show(next, back) {
    const count = list.childElementCount;
    const more = next === null ? null : h("button", { type: "button", onclick: () => page(next) }, text.more);
    const clear = () => go("audit");
    if (count || next !== null) {
      const words = next === null || !isNarrowed(chosen) ? text.browse.shown(count) : text.audit.backTo(count, looked, day(back));
      fill(foot, more, h("span.hint", {}, words));
    } else {
      const button = isNarrowed(chosen) ? [h("button", { type: "button", onclick: clear }, text.search.clear)] : [];
      fill(foot, empty("audit", isNarrowed(chosen) ? text.audit.none : text.audit.empty, "", ...button));
    }
  }

  function choose() {
    remember("audit", toAddress(chosen));
    fill(list);
    looked = 0;
    return page();
  }

  await page();
  return h(
    "div",
    {},
    h("h1", {}, text.audit.title),
    h("p.lead", {}, text.audit.lead),
    filters,
    list,
    foot,
    exporting(asked),
  );
}

function row({ seq, time, action, summary, facts, subjects }, actions) {
  const rows = facts.map(({ label, value }) => [label, value]);
  if (subjects.length) rows.push([text.audit.subjects, text.audit.hashed(subjects.length)]);
  return h(
    "li.card.log-row",
    { dataset: { seq, action } },
    h(
      "div.grow",
      {},
      h("p.strong", {}, summary),
      h("p.hint", {}, h("time", { dateTime: time }, when(time)), ` · ${actions[action] ?? action}`),
      rows.length
        ? h("details.log-details", {}, h("summary", {}, text.audit.details), h("dl.facts", {}, rows.map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])))
        : null,
    ),
  );
}

/** What the filters show, as a file. */
function exporting(asked) {
  const button = (format, ending, words) => {
    const element = h("button", { type: "button", onclick: run }, icon("save"), words);
    async function run() {
      element.disabled = true;
      try {
        download(await api.auditExport({ ...asked(), format }), "audit", ending);
        toast(text.audit.exported);
      } catch (error) {
        complain(error);
      }
      element.disabled = false;
    }
    return element;
  };
  return h(
    "section.card.log-export",
    { "aria-label": text.audit.export },
    h("h2", {}, text.audit.export),
    h("p.hint", {}, text.audit.exportHint),
    h("div.row", {}, button("csv", "csv", text.audit.asCsv), button("jsonl", "jsonl", text.audit.asJson)),
    h("p.hint", {}, text.audit.proofHint, " ", h("code", {}, text.audit.proofCommand)),
  );
}
