// What a log is limited to: action, who, person and time. Kept by the view, sent to the server, said in the address.

import { named } from "./conditions.js";
import { choosePerson } from "./dialogs.js";
import { field, fill, h, icon, removable, select, typedText } from "./dom.js";
import { fromLocal, personName } from "./format.js";
import { moment } from "./moment.js";
import { pairsOf } from "./router.js";
import { text } from "./text.js";

const HOUR_MS = 3_600_000;
const DAYS = { week: 7, month: 30 };

/** `when`: "", a name of text.log.times, or "own" for `since` and `until`, which are as their inputs hold them. */
export const noLogFilter = () => ({ action: "", who: "", person: null, when: "", since: "", until: "" });

export const isNarrowed = (chosen) => Object.values(chosen).some(Boolean);

/** Of an address (URLSearchParams); the person's name is asked for. */
export async function fromAddress(query) {
  const get = (name) => query.get(name) ?? "";
  const time = (name) => (Number.isNaN(Date.parse(get(name))) ? "" : get(name));
  const when = get("when") in text.log.times ? get("when") : "";
  const person = get("person") ? await named(get("person")) : null;
  return { action: get("action"), who: get("who"), person, when, since: time("since"), until: time("until") };
}

export function toAddress({ action, who, person, when, since, until }) {
  const own = when === "own" ? { since, until } : {};
  return pairsOf({ action, who, person, when, ...own });
}

/** { since, until } as the server takes them; undefined where open. */
export function bounds({ when, since, until }, now = new Date()) {
  if (when === "own") return { since: fromLocal(since), until: fromLocal(until) };
  if (!when) return {};
  const from = when === "hour" ? new Date(now.getTime() - HOUR_MS) : new Date(now.getFullYear(), now.getMonth(), now.getDate() - (DAYS[when] ?? 0));
  return { since: from.toISOString() };
}

/** The form, which keeps `chosen` up to date; `actions`: { name: words }. */
export function logFilter(chosen, actions, onchange) {
  const set = (name) => (value) => {
    chosen[name] = value;
    show();
    onchange();
  };
  const names = { "": text.log.anyAction, ...(chosen.action && !(chosen.action in actions) ? { [chosen.action]: chosen.action } : {}), ...actions };
  const who = h("input", { type: "search", value: chosen.who, placeholder: text.log.anybody, autocomplete: "off", maxLength: 200, onchange: () => set("who")(typedText(who)) });
  const person = h("div.field", { role: "group", "aria-label": text.log.person });
  const own = h("div.pair.log-times", field(text.search.since, moment(chosen.since, set("since"))), field(text.search.until, moment(chosen.until, set("until"))));
  function show() {
    own.hidden = chosen.when !== "own";
    const choose = async () => {
      const one = await choosePerson(text.log.person);
      if (one) set("person")(one);
    };
    fill(
      person,
      h("span.label", text.log.person),
      chosen.person
        ? h("div.chips", removable(personName(chosen.person), () => set("person")(null)))
        : h("button.wide-button", { type: "button", onclick: choose }, icon("person"), text.log.everybody),
    );
  }
  show();
  return h(
    "div.log-filter",
    { role: "search", "aria-label": text.search.filters },
    h(
      "div.toolbar",
      field(text.log.action, select(Object.entries(names), chosen.action, set("action"))),
      field(text.log.time, select(Object.entries(text.log.times), chosen.when, set("when"))),
      field(text.log.who, who),
      person,
    ),
    own,
  );
}
