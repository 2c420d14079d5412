// The search's filters: cameras, times, people, attributes, and how the answer is weighed.

import { attributeEditor } from "./attributes.js";
import { cameraChoice, whenStateIsKnown } from "./cameras.js";
import { active, noConditions } from "./conditions.js";
import { meaningOf, ofSearches, priorChoice, rateChoice } from "./decisions.js";
import { choosePerson } from "./dialogs.js";
import { checkbox, field, fill, h, icon, removable, select } from "./dom.js";
import { personName } from "./format.js";
import { moment, presets } from "./moment.js";
import { text } from "./text.js";

const NUMBERS = [5, 10, 20, 50];

/** { element, show() }: a form part that keeps `chosen` (conditions.js) up to date. `show` after it was changed. */
export function filters(chosen, onchange, isOpen) {
  const count = h("span.count");
  const element = h("details.filters", { open: isOpen });
  const set = (name) => (value) => {
    chosen[name] = value;
    changed();
  };
  function label() {
    const number = active(chosen);
    count.textContent = number ? text.search.active(number) : "";
  }
  function changed() {
    label();
    onchange();
  }
  function show() {
    const cameras = h("div");
    whenStateIsKnown(cameras, (state) => {
      // One of the address may be gone from the gallery; it still holds until it is switched off.
      const names = [...new Set([...state.cameras, ...chosen.cameras])];
      return names.length ? cameraChoice(names, state.groups, chosen.cameras, changed) : [];
    });
    const numbers = [...new Set([...NUMBERS, chosen.number])].sort((a, b) => a - b).map(String);
    fill(
      element,
      h("summary", icon("filter"), text.search.filters, count),
      cameras,
      times(),
      personChoice(chosen, changed),
      checkbox(text.search.unassigned, chosen.isUnassigned, set("isUnassigned")),
      attributeEditor(chosen.attributes, changed),
      ofSearches().rates.length ? weighing(chosen, set) : null,
      field(text.search.number, select(numbers.map((number) => [number, number]), String(chosen.number), (value) => set("number")(Number(value)))),
      checkbox(text.search.exact, chosen.exact, set("exact")),
      checkbox(text.search.rerank, chosen.rerank, set("rerank")),
      h("div.row.end", h("button.quiet", {
        type: "button",
        onclick: () => {
          Object.assign(chosen, noConditions());
          show();
          changed();
        },
      }, text.search.clear)),
    );
    label();
  }
  function times() {
    const [since, until] = [moment(chosen.since, set("since")), moment(chosen.until, set("until"), { isEnd: true })];
    const choose = (value) => {
      until.set("");
      since.set(value);
    };
    return [h("div.pair", field(text.search.since, since), field(text.search.until, until)), presets(choose)];
  }
  show();
  return { element, show };
}

function weighing(chosen, set) {
  const meaning = h("p.hint", { "aria-live": "polite" });
  const explain = () => {
    meaning.textContent = meaningOf(Number(chosen.rate) || ofSearches().usual, text.search.stated);
  };
  explain();
  const rates = rateChoice(chosen.rate, (value) => {
    set("rate")(value);
    explain();
  }, ofSearches());
  return [
    h("div.field", field(text.falseAlarmRate, rates), meaning),
    field(text.prior, priorChoice(chosen.prior, set("prior")), text.priorHint),
  ];
}

function personChoice(chosen, onchange) {
  const list = h("div.chips");
  const add = h("button.wide-button", {
    type: "button",
    onclick: async () => {
      const person = await choosePerson(text.search.person, { except: chosen.people.map(({ id }) => id) });
      if (!person) return;
      chosen.people.push(person);
      show();
      onchange();
    },
  });
  const show = () => {
    fill(list, chosen.people.map((person) => removable(personName(person), () => {
      chosen.people.splice(chosen.people.indexOf(person), 1);
      show();
      onchange();
      add.focus();
    })));
    list.hidden = !chosen.people.length;
    fill(add, icon("person"), chosen.people.length ? text.search.anotherPerson : text.search.anybody);
  };
  show();
  return h("div.field", { role: "group", "aria-label": text.search.person }, h("span.label", text.search.person), list, add);
}
