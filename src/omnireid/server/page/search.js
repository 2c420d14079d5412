// The search view: a picture, filters, candidates grouped by person.

import { api } from "./api.js";
import { whenStateIsKnown } from "./cameras.js";
import { rateChoice } from "./decisions.js";
import { choosePerson } from "./dialogs.js";
import { arrowKeys, checkbox, field, fill, h, icon, select } from "./dom.js";
import { cameraName, fromLocal, personName } from "./format.js";
import { results } from "./results.js";
import { go } from "./router.js";
import { session } from "./session.js";
import { pictureSlot } from "./slot.js";
import { empty, failed, loading } from "./states.js";
import { asRequest, fromItem } from "./subject.js";
import { text } from "./text.js";

const NUMBERS = [5, 10, 20, 50];
const noFilters = () => ({ cameras: [], since: "", until: "", person: null, rate: "", exact: false, rerank: false, number: 10 });

// Kept while other views are shown, so that coming back finds everything as it was.
const nothing = () => ({ subject: null, filters: noFilters(), answer: null, isUpTo: 0, runNow: false });
const state = nothing();
const isNarrow = () => window.matchMedia("(max-width: 900px)").matches;
let running = null;
let shown = null;

/** Put a subject into the search and run it. */
export function searchWith(subject) {
  Object.assign(state, { subject, answer: null, runNow: true });
  go("search");
}

export const search = {
  take: (files) => shown?.slot.take(files),
  submit: () => shown?.run(),
  reset: () => Object.assign(state, nothing()),
};

export async function searchView({ query }) {
  if (query.get("item") && state.subject?.item?.id !== query.get("item")) {
    Object.assign(state, { subject: fromItem(await api.item(query.get("item"))), answer: null, runNow: true });
  }
  const output = h("section.results", { "aria-label": text.search.results, "aria-live": "polite" });
  const button = h("button.primary.wide-button", { type: "submit" }, icon("search"), text.search.run);
  const changed = () => {
    button.disabled = !state.subject;
    fill(button, icon("search"), state.answer ? text.search.again : text.search.run);
  };
  const slot = pictureSlot(text.search.title, state.subject, (subject) => {
    Object.assign(state, { subject, answer: null });
    changed();
  });
  const run = () => runSearch(output).finally(changed);
  // From the button straight to the answer, not through all the filters; but nobody is torn from elsewhere.
  const goToAnswer = () => {
    if (document.activeElement === button) output.querySelector(".verdict h2")?.focus({ preventScroll: true });
  };
  const form = h(
    "form.query",
    {
      onsubmit: (event) => {
        event.preventDefault();
        if (state.subject) run().then(goToAnswer);
      },
    },
    slot.element,
    button,
    filters(changed),
  );
  shown = { slot, run: () => state.subject && run() };
  changed();
  const isOutdated = state.answer && state.isUpTo !== session.changes;
  if (state.runNow || isOutdated) run();
  else if (state.answer) showAnswer(output);
  else fill(output, empty("search", text.search.first, text.search.firstHint));
  state.runNow = false;
  return h("div.search", {}, h("div.side", {}, h("h1", {}, text.search.title), h("p.lead", {}, text.search.lead), form), output);
}

function showAnswer(output) {
  fill(output, results(state.answer, state.subject));
  arrowKeys(output, ".candidate");
}

async function runSearch(output) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const { subject } = state;
  output.setAttribute("aria-busy", "true");
  if (output.childElementCount) output.classList.add("is-stale");
  else fill(output, loading(text.search.running));
  try {
    const body = { ...(await asRequest(subject)), ...conditions() };
    const answer = await api.search(body, signal);
    Object.assign(state, { answer, isUpTo: session.changes });
    showAnswer(output);
    if (isNarrow()) output.scrollIntoView({ block: "start" });
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(output, failed(error, () => runSearch(output)));
  }
  output.classList.remove("is-stale");
  output.removeAttribute("aria-busy");
}

function conditions() {
  const { cameras, since, until, person, rate: falseAlarms, exact, rerank, number } = state.filters;
  const body = { k: number, group: true, exact, rerank };
  if (cameras.length) body.cameras = cameras;
  if (since) body.since = fromLocal(since);
  if (until) body.until = fromLocal(until);
  if (person) body.identities = [person.id];
  if (falseAlarms) body.false_alarm_rate = Number(falseAlarms);
  return body;
}

function filters(onchange) {
  const { filters: chosen } = state;
  const count = h("span.count", {});
  const cameras = h("div");
  const element = h("details.filters", { open: !isNarrow() });
  const set = (name) => (value) => {
    chosen[name] = value;
    changed();
  };
  function changed() {
    const none = noFilters();
    const active = Object.keys(none).filter((name) => name !== "number" && String(chosen[name] ?? "") !== String(none[name] ?? ""));
    count.textContent = active.length ? text.search.active(active.length) : "";
    onchange();
  }
  function build() {
    whenStateIsKnown(cameras, (state) => (state.cameras.length ? cameraChoice(state.cameras, chosen.cameras, changed) : []));
    fill(
      element,
      h("summary", {}, icon("filter"), text.search.filters, count),
      cameras,
      h("div.pair", {}, field(text.search.since, moment(chosen.since, set("since"))), field(text.search.until, moment(chosen.until, set("until")))),
      personChoice(chosen, changed),
      session.info.calibrated ? field(text.falseAlarmRate, rateChoice(chosen.rate, set("rate")), text.falseAlarmHint) : null,
      field(text.search.number, select(NUMBERS.map((number) => [String(number), String(number)]), String(chosen.number), (value) => set("number")(Number(value)))),
      checkbox(text.search.exact, chosen.exact, set("exact")),
      checkbox(text.search.rerank, chosen.rerank, set("rerank")),
      h("div.row.end", {}, h("button.quiet", {
        type: "button",
        onclick: () => {
          Object.assign(chosen, noFilters());
          build();
          changed();
        },
      }, text.search.clear)),
    );
  }
  build();
  return element;
}

function moment(value, onchange) {
  const input = h("input", { type: "datetime-local", step: 1, value, onchange: () => onchange(input.value) });
  return input;
}

function cameraChoice(cameras, chosen, onchange) {
  const toggle = (name) => (isOn) => {
    if (isOn) chosen.push(name);
    else chosen.splice(chosen.indexOf(name), 1);
    onchange();
  };
  return h(
    "fieldset",
    {},
    h("legend", {}, text.search.cameras),
    h("div.chips", {}, cameras.map((name) => {
      const chip = checkbox(cameraName(name), chosen.includes(name), toggle(name));
      chip.className = "chip";
      return chip;
    })),
    h("p.hint", {}, text.search.camerasHint),
  );
}

function personChoice(chosen, onchange) {
  const button = h("button.wide-button", {
    type: "button",
    onclick: async () => {
      chosen.person = chosen.person ? null : await choosePerson(text.search.person);
      label();
      onchange();
    },
  });
  const label = () => fill(button, icon(chosen.person ? "close" : "person"), chosen.person ? personName(chosen.person) : text.search.anybody);
  label();
  return h("div.field", { role: "group", "aria-label": text.search.person }, h("span.label", {}, text.search.person), button);
}
