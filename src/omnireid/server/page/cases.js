// Adding to a case: a search as it was answered, a person, or chosen pictures, each with a note.

import { api } from "./api.js";
import { ask, askForm, form } from "./dialogs.js";
import { action, field, fill, h, typedText } from "./dom.js";
import { dateOf, day, endOf } from "./format.js";
import { may } from "./session.js";
import { complaint, loadInto } from "./states.js";
import { asRequest } from "./subject.js";
import { text } from "./text.js";
import { change, complain, toast } from "./toasts.js";

const DAYS = 30; // until a new case ends, unless somebody says otherwise
const DAY_MS = 86_400_000;
const MOST_TITLE = 200;
const MOST_WORDS = 4000;

/** Title, reason and end date: { elements, isReady(), values() }. */
export function caseFields({ title = "", reason = "", ends = undefined } = {}) {
  const name = h("input", { type: "text", value: title, maxLength: MOST_TITLE, autocomplete: "off", required: true, dataset: { first: "" } });
  const why = h("textarea", { value: reason, rows: 3, maxLength: MOST_WORDS, required: true });
  const said = h("p.hint");
  const say = () => fill(said, end.value ? text.cases.endsHint(day(endOf(end.value))) : null);
  const end = h("input", { type: "date", oninput: () => say(), value: dateOf(ends ?? Date.now() + DAYS * DAY_MS), min: dateOf(Date.now() + DAY_MS), required: true });
  say();
  return {
    elements: [field(text.cases.name, name), field(text.cases.reason, why, text.cases.reasonHint), h("div", field(text.cases.ends, end), said)],
    isReady: () => Boolean(typedText(name) && why.value.trim() && end.value && end.validity.valid),
    values: () => ({ title: typedText(name), reason: why.value.trim(), ends: endOf(end.value) }),
  };
}

/** Ask for these fields; resolves to what `save(values)` gives, which may throw what is wrong. */
export const askFields = (title, { elements, isReady, values }, confirm, save) => askForm(title, elements, { confirm, isReady, submit: () => save(values()) });

/** Ask for a new case; the case, or null. */
export const askNewCase = () => askFields(text.cases.create, caseFields(), text.cases.createConfirm, api.createCase);

let last = null; // the case that this tab added to last comes first

/** Ask into which case, and add. `what()`: entries as the API takes them, each without the note. */
async function addToCase(what, words) {
  const done = await ask(text.cases.addTitle(words), (close) => {
    const note = h("textarea", { rows: 2, maxLength: MOST_WORDS, dataset: { first: "" } });
    const list = h("div.choices", { role: "group", "aria-label": text.cases.into });
    const problem = h("div");
    const place = h("div.case-choice");

    async function add(chosen) {
      for (const one of place.querySelectorAll("button")) one.disabled = true;
      fill(problem);
      const entries = [];
      try {
        for (const entry of await what()) entries.push(await api.addToCase(chosen.id, { ...entry, note: note.value.trim() }));
        last = chosen.id;
        close({ chosen, entries });
      } catch (error) {
        await takeOut(chosen, entries).catch(complain); // all or nothing
        fill(problem, complaint(error.message));
        for (const one of place.querySelectorAll("button")) one.disabled = false;
      }
    }

    const choice = (one) =>
      action(".choice", "cases", h("span.grow", h("strong", one.title), h("span.hint", text.cases.facts(one.entries, day(one.ends)))), () => add(one));
    let made = null; // where adding failed, the case is there: the next try goes into it
    const begin = () => {
      const { elements, isReady, values } = caseFields();
      const submit = async () => {
        made ??= await api.createCase(values());
        await add(made);
      };
      fill(place, form(elements, { confirm: text.cases.createAndAdd, isReady, submit, cancel: show }));
      place.querySelector("input").focus();
    };
    const fresh = () => action(".choice", "enrol", h("strong", text.cases.create), begin);
    function show() {
      fill(place, h("p.label", text.cases.into), list);
      loadInto(list, async () => {
        const open = (await api.cases()).cases.filter(({ closed }) => !closed);
        open.sort((a, b) => Number(b.id === last) - Number(a.id === last));
        return [open.map(choice), fresh()].flat();
      });
    }
    show();
    return [field(text.cases.note, note, text.cases.noteHint), place, problem];
  });
  if (!done) return;
  const { chosen, entries } = done;
  toast(text.cases.added(chosen.title), { takeBack: () => change(() => takeOut(chosen, entries), text.history.didUndo) });
}

async function takeOut({ id }, entries) {
  for (const entry of entries) await api.removeFromCase(id, entry.id);
}

const addButton = (add) => (may("write") ? action("", "cases", text.cases.add, add) : null);

/**
 * For a search's answer: a button that adds it to a case, as it was answered; null where this token may not.
 * `subject`: what it was asked with (subject.js); `words`: its conditions.
 */
export const caseButton = (answer, subject, words = []) =>
  addButton(() => addToCase(async () => [{ search: { asked: await asRequest(subject), answer, words } }], text.cases.whatSearch));

/** For people ({ id, name } each): an entry for each. */
export const peopleCaseButton = (people) => addButton(() => addToCase(() => people.map(({ id }) => ({ identity: id })), text.cases.whatPeople(people.length)));

/** Pictures of the gallery, as one entry. */
export const addPicturesToCase = (items) => addToCase(() => [{ items: items.map(({ id }) => id) }], text.cases.whatPictures(items.length));

/** For pictures that are chosen when it is pressed. */
export const picturesCaseButton = (items) => addButton(() => addPicturesToCase(items));
