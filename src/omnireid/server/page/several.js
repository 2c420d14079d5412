// Several people, of one picture or of the gallery: a search for each, their answers side by side as tabs.

import { api } from "./api.js";
import { sayable } from "./certainty.js";
import { asBody } from "./conditions.js";
import { mark } from "./decisions.js";
import { arrowKeys, fill, h, icon, uniqueId } from "./dom.js";
import { qualityOf } from "./quality.js";
import { ask, face } from "./question.js";
import { results } from "./results.js";
import { go, link } from "./router.js";
import { empty, failed, loading } from "./states.js";
import { asRequest } from "./subject.js";
import { text } from "./text.js";

// people: { name, question (question.js), answer, quality (quality.js), error } each; from: the view they were chosen in.
const nothing = () => ({ people: [], shown: 0, from: "search" });
let state = nothing();

export const several = { reset: () => { state = nothing(); } };

/**
 * Search for several people by the same conditions, and show the answers. `searches`: { subject, name } each; without
 * a name people are numbered. `from`: the view they were chosen in.
 */
export function searchSeveral(searches, conditions, from = "search") {
  const person = ({ subject, name }, index) => ({ name: name ?? text.frame.person(index + 1), question: ask(subject, conditions), answer: null, quality: null, error: null });
  // What is changed on the search page later is of another search: a question never changes.
  state = { people: searches.map(person), shown: 0, from };
  go("frame");
}

/** One after the other: the server has others to serve too. */
async function searchEach(people, show) {
  for (const person of people) {
    if (person.answer) continue;
    person.error = null;
    try {
      const { subject, chosen } = person.question;
      const body = { ...(await asRequest(subject)), ...asBody(chosen) };
      const [answer, quality] = await Promise.all([api.search(body), qualityOf(subject)]);
      Object.assign(person, { answer, quality });
    } catch (error) {
      person.error = error;
    }
    show(person);
  }
}

export async function severalView() {
  const { people, from } = state;
  const back = h("a.back", { href: link(from) }, icon("back"), text.views[from]);
  if (!people.length) return h("div", back, empty("people", text.several.none, text.several.noneHint, h("a.button", { href: link("search") }, text.views.search)));
  const panel = h("section.results", { id: uniqueId("panel"), role: "tabpanel", tabIndex: -1 });
  const heard = h("p.sr-only", { role: "status" }); // each answer in one line, not all that stands in it
  const tabs = people.map((person, index) => h("button.person-tab", { type: "button", role: "tab", id: uniqueId("tab"), "aria-controls": panel.id, onclick: () => choose(index) }));

  function label(index) {
    const { name, question, answer, quality, error } = people[index];
    const said = answer && sayable(answer, quality.isPoor);
    fill(
      tabs[index],
      face(question),
      h("span", name, h("span.hint", said ? [mark(said.decision, ""), verdict(said)] : error ? text.several.failed : text.search.running)),
    );
    tabs[index].setAttribute("aria-selected", String(index === state.shown));
    return said || error ? `${name}: ${said ? verdict(said) : text.several.failed}` : "";
  }

  function choose(index) {
    state.shown = index;
    tabs.forEach((_, place) => label(place));
    panel.setAttribute("aria-labelledby", tabs[index].id);
    const { question, answer, quality, error } = people[index];
    const { words } = question;
    if (error) fill(panel, failed(error, run));
    else if (!answer) fill(panel, loading(text.search.running));
    else if (!answer.groups.length) fill(panel, empty("search", text.search.nobodyFound, words.length ? text.search.nobodyWith(words) : text.search.nobodyHint));
    else fill(panel, results(answer, question, quality, true));
  }

  const run = () => searchEach(people, (person) => {
    const index = people.indexOf(person);
    if (index === state.shown) choose(index);
    heard.textContent = label(index);
  });
  const list = h("div.person-tabs", { role: "tablist", "aria-label": text.several.titles[from] }, tabs);
  choose(state.shown);
  arrowKeys(list, ".person-tab");
  run();
  return h("div", back, h("h1", text.several.titles[from]), h("p.lead", text.several.lead(people.length)), list, panel, heard);
}

const verdict = (answer) => (answer.groups.length ? text.several.verdicts[answer.decision ?? "none"] : text.search.nobodyFound);
