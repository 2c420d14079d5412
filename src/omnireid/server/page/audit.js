// The audit log: who did what, without saying to whom. The latest first.

import { api } from "./api.js";
import { field, fill, h, select } from "./dom.js";
import { when } from "./format.js";
import { remember } from "./router.js";
import { may } from "./session.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";

const SHOWN = 100;
const LOOKED_AT = 1000; // at once, where one action is picked out of all
const COLUMNS = Object.keys(text.audit.columns);

export async function auditView({ query }) {
  if (!may("admin")) return empty("audit", text.audit.title, text.audit.mayNot);
  let action = query.get("action") in text.audit.actions ? query.get("action") : "";
  let latest = 0;
  const body = h("tbody");
  const foot = h("div.row.centred");
  const frame = h("div");

  /** Entries until some are shown or all were looked at. */
  async function page(after, looked) {
    latest += 1;
    const mine = latest;
    fill(foot, loading());
    try {
      let [rows, next] = [[], after];
      do {
        const answer = await api.audit({ limit: action ? LOOKED_AT : SHOWN, after: next, latest: true });
        if (mine !== latest) return; // another action was chosen meanwhile
        rows = answer.entries.filter((entry) => !action || entry.action === action).map(row);
        looked += answer.entries.length;
        next = answer.next;
      } while (!rows.length && next !== null);
      body.append(...rows);
      show(next, looked);
    } catch (error) {
      fill(foot, failed(error, () => page(after, looked)));
    }
  }

  function show(next, looked) {
    const count = body.childElementCount;
    fill(frame, count ? table(body) : empty("audit", action ? text.audit.noneOf(text.audit.actions[action]) : text.audit.empty));
    fill(
      foot,
      next === null ? null : h("button", { type: "button", onclick: () => page(next, looked) }, text.more),
      count ? h("span.hint", { role: "status" }, action ? text.audit.among(count, looked) : text.browse.shown(count)) : null,
    );
  }

  const choose = (value) => {
    action = value;
    remember("audit", action ? { action } : {});
    fill(body);
    return page(undefined, 0);
  };
  const actions = [["", text.audit.anything], ...Object.entries(text.audit.actions)];
  await page(undefined, 0);
  return h(
    "div",
    {},
    h("h1", {}, text.audit.title),
    h("p.lead", {}, text.audit.lead),
    h("div.toolbar", {}, field(text.audit.columns.action, select(actions, action, choose))),
    frame,
    foot,
  );
}

const table = (body) =>
  h(
    "div.table-frame",
    { tabIndex: 0, role: "region", "aria-label": text.audit.title },
    h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, text.audit.columns[name])))), body),
  );

const row = (entry) => h("tr", { dataset: { seq: entry.seq } }, COLUMNS.map((name) => h(`td.col-${name}`, {}, cell(name, entry[name]))));

function cell(name, value) {
  if (value === null || value === undefined) return "";
  if (name === "time") return when(value);
  if (name !== "detail" || typeof value !== "object") return String(value);
  const entries = Object.entries(value).filter(([, inner]) => inner !== null && String(inner) !== "");
  return entries.map(([key, inner]) => h("span.detail", {}, h("span.hint", {}, `${key} `), said(inner)));
}

function said(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(3)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
