// The search view: one person's pictures, filters, candidates grouped by person.

import { api } from "./api.js";
import { asBody, asQuery, asWords, fromQuery, noConditions } from "./conditions.js";
import { arrowKeys, fill, h, icon } from "./dom.js";
import { filters } from "./filters.js";
import { results } from "./results.js";
import { go, link, place, remember } from "./router.js";
import { may, session } from "./session.js";
import { searchSeveral } from "./several.js";
import { pictureSlot } from "./slot.js";
import { complaint, empty, failed, loading } from "./states.js";
import { asRequest, fromItem } from "./subject.js";
import { text } from "./text.js";

const KEPT_PICTURES = 20;

// Kept while other views are shown, so that coming back finds everything as it was. `words`: the conditions of
// `answer`; `said`: what the address says, which is what was searched last, not what is being changed.
const nothing = () => ({ subject: null, chosen: noConditions(), answer: null, words: [], said: "", isUpTo: 0, runNow: false });
const state = nothing();
const isNarrow = () => window.matchMedia("(max-width: 900px)").matches;
let running = null;
let shown = null;

/** The user's pictures have no address of their own: the address holds a number, and this tab what it stands for. */
const given = new Map();
let lastNumber = Date.now(); // none that an address from before a reload may hold

function numberOf(subject) {
  for (const [number, one] of given) if (one === subject) return number;
  lastNumber += 1;
  given.set(String(lastNumber), subject);
  if (given.size > KEPT_PICTURES) given.delete(given.keys().next().value);
  return String(lastNumber);
}

function address() {
  const { subject, chosen } = state;
  const who = !subject ? [] : subject.kind === "item" ? [["item", subject.item.id]] : [["picture", numberOf(subject)]];
  return [...who, ...asQuery(chosen)];
}

/** `isStep`: going back leads to the search before. */
function say({ isStep = false } = {}) {
  remember("search", address(), { isStep: isStep && state.said !== "" });
  if (place().name === "search") state.said = place().query.toString();
}

/** Put a subject into the search and run it. */
export function searchWith(subject) {
  Object.assign(state, { subject, answer: null, runNow: true });
  go("search");
}

/** Search for items with this attribute; what is searched with stays. */
export function onlyWith(name, value) {
  state.chosen.attributes = [...state.chosen.attributes.filter(([other]) => other !== name), [name, value]];
  state.runNow = Boolean(state.subject);
  go("search");
}

export const search = {
  take: (files) => shown?.slot.take(files),
  submit: () => shown?.run(),
  reset: () => {
    stop();
    Object.assign(state, nothing());
    given.clear();
  },
};

/**
 * Be as the address says; an address that says nothing leaves all as it was. Returns words about what is missing, or
 * null where another view was asked for meanwhile: then all is as it was.
 */
async function follow({ query, isCurrent }) {
  const wanted = query.toString();
  if (!wanted || wanted === state.said) return "";
  const chosen = await fromQuery(query);
  if (!isCurrent()) return null;
  stop();
  state.chosen = chosen;
  const item = query.get("item");
  if (item && state.subject?.item?.id !== item) return takeItem(item, isCurrent);
  const before = state.subject;
  if (!item) state.subject = given.get(query.get("picture")) ?? null;
  if (state.subject !== before) state.answer = null;
  state.runNow = Boolean(state.subject);
  return "";
}

async function takeItem(id, isCurrent) {
  let [subject, missing] = [null, ""];
  try {
    subject = fromItem(await api.item(id));
  } catch (error) {
    if (error.status !== 404) throw error;
    missing = text.search.goneItem;
  }
  if (!isCurrent()) return null;
  Object.assign(state, { subject, answer: null, runNow: Boolean(subject) });
  return missing;
}

export async function searchView(here) {
  const isOutdated = state.answer && state.isUpTo !== session.changes;
  let missing = await follow(here);
  // Who it belongs to may have changed, also by an undo; it may be forgotten.
  if (here.isCurrent() && isOutdated && state.subject?.kind === "item" && !state.runNow) missing = await takeItem(state.subject.item.id, here.isCurrent);
  if (!here.isCurrent()) return null;
  say();
  const output = h("section.results", { "aria-label": text.search.results, "aria-live": "polite" });
  const button = h("button.primary.wide-button", { type: "submit" });
  const changed = () => {
    button.disabled = !state.subject;
    fill(button, icon("search"), state.answer ? text.search.again : text.search.run);
  };
  const slot = pictureSlot(text.search.title, state.subject, (subject) => {
    stop();
    Object.assign(state, { subject, answer: null });
    changed();
  }, { takesMany: true, onseveral: (picture, regions) => searchSeveral(picture, regions, state.chosen) });
  const run = () => runSearch(output, clear).finally(changed);
  // From the button straight to the answer, not through all the filters; but nobody is torn from elsewhere.
  const goToAnswer = () => {
    if (document.activeElement === button) output.querySelector(".verdict h2")?.focus({ preventScroll: true });
  };
  const limits = filters(state.chosen, changed, !isNarrow());
  const clear = () => {
    Object.assign(state.chosen, noConditions());
    limits.show();
    run();
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
    limits.element,
  );
  shown = { slot, run: () => state.subject && run() };
  changed();
  if (state.subject && (state.runNow || isOutdated)) run();
  else if (state.answer) showAnswer(output, clear);
  else showNothingYet(output, missing);
  state.runNow = false;
  return h("div.search", {}, h("div.side", {}, h("h1", {}, text.search.title), h("p.lead", {}, text.search.lead), form), output);
}

function showNothingYet(output, missing) {
  fill(output, missing ? complaint(missing) : null, empty("search", text.search.first, text.search.firstHint));
}

function showAnswer(output, clear) {
  const { answer, subject, words } = state;
  if (answer.groups.length) {
    fill(output, results(answer, subject, words));
    arrowKeys(output, ".candidate");
  } else if (words.length) {
    fill(output, empty("search", text.search.nobodyFound, text.search.nobodyWith(words), h("button", { type: "button", onclick: clear }, text.search.clearAndSearch)));
  } else {
    const enrolLink = may("write") ? h("a.button", { href: link("enrol") }, text.views.enrol) : null;
    fill(output, empty("search", text.search.nobodyFound, text.search.nobodyHint, enrolLink));
  }
}

/** What is being searched for is not wanted any more. */
function stop() {
  running?.abort();
  running = null;
}

async function runSearch(output, clear) {
  stop();
  running = new AbortController();
  const { signal } = running;
  const { subject, chosen } = state;
  const words = asWords(chosen);
  say({ isStep: true });
  output.setAttribute("aria-busy", "true");
  if (output.childElementCount) output.classList.add("is-stale");
  else fill(output, loading(text.search.running));
  try {
    const body = { ...(await asRequest(subject)), ...asBody(chosen) };
    const answer = await api.search(body, signal);
    signal.throwIfAborted();
    Object.assign(state, { answer, words, isUpTo: session.changes });
    showAnswer(output, clear);
    if (isNarrow()) output.scrollIntoView({ block: "start" });
  } catch (error) {
    if (error.name !== "AbortError") fill(output, failed(error, () => runSearch(output, clear)));
    else if (running) return; // another search took its place
    else showNothingYet(output);
  }
  output.classList.remove("is-stale");
  output.removeAttribute("aria-busy");
}
