// The search view: one person's pictures, filters, candidates grouped by person.

import { api } from "./api.js";
import { asBody, asQuery, fromQuery, noConditions } from "./conditions.js";
import { fill, h, icon } from "./dom.js";
import { filters } from "./filters.js";
import { choseOther, dropKept, keep, restored } from "./kept.js";
import { qualityOf } from "./quality.js";
import { ask, face, keyOfAsked } from "./question.js";
import { results } from "./results.js";
import { link, place, refresh, remember } from "./router.js";
import { nothing, state } from "./searchstate.js";
import { may, session } from "./session.js";
import { searchSeveral } from "./several.js";
import { pictureSlot } from "./slot.js";
import { complaint, empty, failed, loading } from "./states.js";
import { asRequest, copyOf, fromItems, itemsOf, keyOf, picturesOf } from "./subject.js";
import { text } from "./text.js";

const KEPT_PICTURES = 20;
const FORM = "form"; // what is kept of it, beside the numbers

const isNarrow = () => window.matchMedia("(max-width: 900px)").matches;
let running = null;
let view = null;

/** The user's pictures have no address of their own: the address holds a number, and this tab what it stands for. */
const given = new Map();
let lastNumber = Date.now(); // none that an address from before a reload may hold

function numberOf(subject) {
  const key = keyOf(subject);
  for (const [number, one] of given) if (keyOf(one) === key) return number;
  lastNumber += 1;
  const number = String(lastNumber);
  given.set(number, copyOf(subject));
  if (given.size > KEPT_PICTURES) given.delete(given.keys().next().value);
  keep(number, subject);
  return number;
}

let isRestored = false;

/** What this tab held before it was loaded anew; the form's own only where nothing else was asked for. */
async function restore() {
  if (isRestored) return;
  isRestored = true;
  const { subjects, chosen } = await restored();
  if (!state.subject && subjects.has(chosen)) state.subject = copyOf(subjects.get(chosen));
  subjects.delete(FORM);
  for (const [number, subject] of subjects) given.set(number, subject);
}

let timer = 0;

/** Keep what the form holds, once it is not being changed any more. */
function keepChosen() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const { subject } = state;
    if (picturesOf(subject).length) keep(FORM, subject, { isChosen: true });
    else choseOther();
  }, 300);
}

function address({ subject, chosen }) {
  const own = picturesOf(subject).length ? [["picture", numberOf(subject)]] : [];
  return [...itemsOf(subject).map(({ id }) => ["item", id]), ...own, ...asQuery(chosen)];
}

/** Say what is asked: of the answer that is shown; before there is one, of what is chosen. `isStep`: going back leads
 *  to the search before. */
function say(asked = state.shown?.question ?? state, { isStep = false } = {}) {
  remember("search", address(asked), { isStep: isStep && state.said !== "" });
  if (place().name === "search") state.said = place().query.toString();
}

export const search = {
  take: (files) => view?.slot.take(files),
  submit: () => view?.submit(),
  /** From wherever the focus is to what was found. */
  toAnswer: () => /** @type {?HTMLElement} */ (document.querySelector("main[data-view=search] .verdict h2"))?.focus(),
  reset: () => {
    stop();
    clearTimeout(timer);
    Object.assign(state, nothing());
    given.clear();
    dropKept();
  },
};

/** Whether the form asks for something else than what the answer answers. */
const isEarlier = () => state.shown !== null && state.shown.question.key !== keyOfAsked(state.subject, state.chosen);

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
  const ids = query.getAll("item");
  let subject = given.get(query.get("picture")) ?? null;
  let missing = query.has("picture") && !subject ? text.answer.gonePicture : "";
  if (ids.length) {
    if (ids.join() === itemsOf(state.subject).map(({ id }) => id).join()) subject = state.subject;
    else ({ subject, missing } = await itemsCalled(ids));
    if (!isCurrent()) return null;
  }
  if (keyOf(subject) !== keyOf(state.subject)) state.shown = null;
  Object.assign(state, { subject: copyOf(subject), chosen, runNow: Boolean(subject) });
  return missing;
}

/** The subject of items by their ids, and words about what is missing. */
async function itemsCalled(ids) {
  const found = await Promise.all(ids.map(async (id) => {
    try {
      return await api.item(id);
    } catch (error) {
      if (error.status !== 404) throw error;
      return null;
    }
  }));
  const items = found.filter(Boolean);
  return { subject: items.length ? fromItems(items) : null, missing: items.length < ids.length ? text.search.goneItem : "" };
}

/** Whom items belong to may have changed, also by an undo; they may be forgotten. */
async function renewItems(isCurrent) {
  const asked = state.shown.question;
  const ids = itemsOf(asked.subject).map(({ id }) => id);
  if (!ids.length) return "";
  const { subject, missing } = await itemsCalled(ids);
  if (!isCurrent()) return null;
  const isSame = keyOf(state.subject) === keyOf(asked.subject);
  if (isSame) state.subject = copyOf(subject);
  // Forgotten pictures were part of the question: without them there is no answer.
  if (missing) state.shown = null;
  else asked.subject = copyOf(subject);
  return missing;
}

export async function searchView(here) {
  await restore();
  let missing = await follow(here);
  const isOutdated = () => state.shown !== null && state.shown.isUpTo !== session.changes;
  if (here.isCurrent() && isOutdated() && !state.runNow) missing = (await renewItems(here.isCurrent)) || missing;
  if (!here.isCurrent()) return null;
  say(state.runNow ? state : undefined);
  const output = h("section.results", { "aria-label": text.search.results });
  const said = h("p.sr-only", { role: "status" }); // for those who do not see that the answer came
  const notice = h("div", { role: "status" });
  const put = (...nodes) => fill(output, notice, nodes);
  const button = h("button.primary.wide-button", { type: "submit" });
  const changed = () => {
    button.disabled = !state.subject;
    fill(button, icon("search"), state.shown ? text.search.again : text.search.run);
    showNotice(output, notice, submit);
  };
  const slot = pictureSlot(text.search.title, state.subject, (subject) => {
    state.subject = subject;
    keepChosen();
    changed();
  }, { takesMany: true, onseveral: (picture, regions) => searchSeveral(regions.map((region) => ({ subject: { ...picture, region } })), state.chosen) });
  const clear = () => {
    Object.assign(state.chosen, noConditions());
    limits.show();
    submit();
  };
  const run = async (question) => {
    said.textContent = "";
    await runSearch(question, output, put, clear);
    said.textContent = output.querySelector(".verdict h2, .state-title")?.textContent ?? "";
    changed();
  };
  // From the form straight to the answer, not through all the filters.
  const submit = async () => {
    if (!state.subject || !form.reportValidity()) return;
    const opener = document.activeElement;
    await run(ask(state.subject, state.chosen));
    const isElsewhere = ![opener, document.body].includes(document.activeElement);
    const heading = output.querySelector(".verdict h2, .state-title");
    if (isElsewhere || !heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    said.textContent = ""; // the focus reads it out
  };
  const limits = filters(state.chosen, changed, !isNarrow());
  const form = h(
    "form.query",
    {
      onsubmit: (event) => {
        event.preventDefault();
        submit();
      },
    },
    slot.element,
    button,
    limits.element,
  );
  view = { slot, submit };
  if (state.runNow && state.subject) run(ask(state.subject, state.chosen));
  else if (isOutdated()) run(state.shown.question);
  else if (state.shown) showAnswer(put, clear);
  else showNothingYet(put, missing);
  state.runNow = false;
  changed();
  return h("div.search", h("div.side", h("h1", text.search.title), h("p.lead", text.search.lead), form), output, said);
}

/** That the form has moved on, and ways to bring both together again. */
function showNotice(output, notice, submit) {
  const isOld = isEarlier();
  output.classList.toggle("is-earlier", isOld);
  notice.hidden = !isOld;
  if (isOld === notice.childElementCount > 0) return; // said once, not at each move of a box
  const back = () => {
    const { subject, chosen } = state.shown.question;
    Object.assign(state, { subject: copyOf(subject), chosen: structuredClone(chosen) });
    refresh();
  };
  fill(notice, isOld ? h(
    "div.earlier",
    face(state.shown.question, "tiny"),
    h("p.grow", h("strong", text.answer.earlier), h("span.wide-only", " ", text.answer.earlierHint)),
    state.subject ? h("button", { type: "button", onclick: submit }, icon("search"), text.answer.askNow) : null,
    h("button", { type: "button", onclick: back }, icon("undo"), text.answer.back),
  ) : null);
}

function showNothingYet(put, missing) {
  put(missing ? complaint(missing) : null, empty("search", text.search.first, text.search.firstHint));
}

function showAnswer(put, clear) {
  const { answer, question, quality } = state.shown;
  const { words } = question;
  if (answer.groups.length) {
    put(results(answer, question, quality, !isNarrow()));
  } else if (words.length) {
    put(empty("search", text.search.nobodyFound, text.search.nobodyWith(words), h("button", { type: "button", onclick: clear }, text.search.clearAndSearch)));
  } else {
    const enrolLink = may("write") ? h("a.button", { href: link("enrol") }, text.views.enrol) : null;
    put(empty("search", text.search.nobodyFound, text.search.nobodyHint, enrolLink));
  }
}

/** What is being searched for is not wanted any more. */
function stop() {
  running?.abort();
  running = null;
}

async function runSearch(question, output, put, clear) {
  stop();
  running = new AbortController();
  const { signal } = running;
  say(question, { isStep: true });
  output.setAttribute("aria-busy", "true");
  if (state.shown) output.classList.add("is-stale");
  else put(loading(text.search.running));
  try {
    const body = { ...(await asRequest(question.subject)), ...asBody(question.chosen) };
    const isUpTo = session.changes;
    const [answer, quality] = await Promise.all([api.search(body, signal), qualityOf(question.subject)]);
    signal.throwIfAborted();
    state.shown = { answer, question, quality, isUpTo };
    showAnswer(put, clear);
    if (isNarrow()) output.scrollIntoView({ block: "start" });
  } catch (error) {
    if (error.name === "AbortError" && running) return; // another search took its place
    if (error.name !== "AbortError") {
      // A search that failed leaves no answer that could be taken for its own.
      state.shown = null;
      put(failed(error, () => runSearch(question, output, put, clear)));
    } else if (!state.shown) showNothingYet(put);
  }
  output.classList.remove("is-stale");
  output.removeAttribute("aria-busy");
}
