// The audit log: who did what and when, in words. The latest first; by action, time, who and person; as a file.

import { api } from "./api.js";
import { download } from "./download.js";
import { action, facts as listed, fill, h, titled } from "./dom.js";
import { day, when } from "./format.js";
import { logRows } from "./log.js";
import { bounds, fromAddress, isNarrowed, logFilter, noLogFilter } from "./logfilter.js";
import { may } from "./session.js";
import { empty } from "./states.js";
import { text } from "./text.js";
import { attempt } from "./toasts.js";

const SHOWN = 50;

export async function auditView({ query, isCurrent }) {
  if (!may("admin")) return empty("audit", text.audit.title, text.audit.mayNot);
  const chosen = { ...noLogFilter(), ...(await fromAddress(query)) };
  if (!isCurrent()) return null;
  const filters = h("div");

  const asked = () => ({ subject: chosen.person?.id, action: chosen.action, actor: chosen.who, ...bounds(chosen) });

  async function load(after) {
    const page = await api.audit({ ...asked(), limit: SHOWN, after, latest: true });
    if (!filters.childElementCount) fill(filters, logFilter(chosen, page.actions, choose));
    return { ...page, rows: page.entries.map((entry) => row(entry, page.actions)) };
  }
  const said = (count, pages) => {
    const last = pages.at(-1);
    if (last.next === null || !isNarrowed(chosen)) return text.browse.shown(count);
    return text.audit.backTo(count, pages.reduce((sum, { looked }) => sum + looked, 0), day(last.looked_to));
  };
  const { list, foot, begin, choose } = logRows("audit", text.audit, chosen, load, said);

  await begin();
  return titled(text.audit.title, text.audit.lead, filters, list, foot, exporting(asked));
}

function row({ seq, time, action, summary, facts, subjects }, actions) {
  const rows = facts.map(({ label, value }) => [label, value]);
  if (subjects.length) rows.push([text.audit.subjects, text.audit.hashed(subjects.length)]);
  return h(
    "li.card.log-row",
    { dataset: { seq, action } },
    h(
      "div.grow",
      h("p.strong", summary),
      h("p.hint", h("time", { dateTime: time }, when(time)), ` · ${actions[action] ?? action}`),
      rows.length
        ? h("details.log-details", h("summary", text.audit.details), listed(rows))
        : null,
    ),
  );
}

/** What the filters show, as a file. */
function exporting(asked) {
  const button = (format, ending, words) => {
    const element = action("", "save", words, async () => {
      element.disabled = true;
      await attempt(async () => download(await api.auditExport({ ...asked(), format }), "audit", ending), text.audit.exported);
      element.disabled = false;
    });
    return element;
  };
  return h(
    "section.card.log-export",
    { "aria-label": text.audit.export },
    h("h2", text.audit.export),
    h("p.hint", text.audit.exportHint),
    h("div.row", button("csv", "csv", text.audit.asCsv), button("jsonl", "jsonl", text.audit.asJson)),
    h("p.hint", text.audit.proofHint, " ", h("code", text.audit.proofCommand)),
  );
}
