// The audit log: who did what, without saying to whom.

import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { when } from "./format.js";
import { may } from "./session.js";
import { empty, failed } from "./states.js";
import { text } from "./text.js";

const PAGE = 100;
const COLUMNS = Object.keys(text.audit.columns);

export async function auditView() {
  if (!may("admin")) return empty("audit", text.audit.title, text.audit.mayNot);
  const body = h("tbody");
  const foot = h("div.row.centred");
  async function page(after) {
    const { entries, next } = await api.audit({ limit: PAGE, after, latest: true });
    body.append(...entries.map(row));
    fill(foot, next ? h("button", { type: "button", onclick: () => more(next) }, text.more) : null);
  }
  const more = (next) => page(next).catch((error) => fill(foot, failed(error, () => more(next))));
  await page();
  return h(
    "div",
    {},
    h("h1", {}, text.audit.title),
    h("p.lead", {}, text.audit.lead),
    body.childElementCount
      ? h(
          "div.table-frame",
          { tabIndex: 0, role: "region", "aria-label": text.audit.title },
          h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, text.audit.columns[name])))), body),
        )
      : empty("audit", text.audit.empty),
    foot,
  );
}

const row = (entry) => h("tr", {}, COLUMNS.map((name) => h(`td.col-${name}`, {}, cell(name, entry[name]))));

function cell(name, value) {
  if (value === null || value === undefined) return "";
  if (name === "time") return when(value);
  if (name !== "detail" || typeof value !== "object") return String(value);
  const said = Object.entries(value).filter(([, inner]) => inner !== null && String(inner) !== "");
  return said.map(([key, inner]) => h("span.detail", {}, h("span.hint", {}, `${key} `), typeof inner === "object" ? JSON.stringify(inner) : String(inner)));
}
