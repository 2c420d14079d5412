// Conditions on attributes: a name, and exactly this value of exactly this type.

import { api } from "./api.js";
import { fill, h, removable, typedText, uniqueId } from "./dom.js";
import { attributeWords, valueWords } from "./format.js";
import { pictures, text } from "./text.js";

const NUMBER = /^-?\d+(\.\d+)?$/;
const QUOTED = /^"(.*)"$/;

/** "true" → true, "7" → 7, "\"7\"" → "7", everything else as it is. */
function typed(words) {
  if (words === "true" || words === "false") return words === "true";
  if (NUMBER.test(words)) return Number(words);
  return QUOTED.exec(words)?.[1] ?? words;
}

/** What the gallery's pictures have, to choose from: names, and the values of the name that was chosen. */
async function offerKnown(name, value, names, values) {
  let known = [];
  const option = (words, count) => h("option", { value: words }, pictures(count));
  const show = () => {
    const one = known.find((attribute) => attribute.name === typedText(name));
    fill(values, one ? one.values.map(({ value: given, items }) => option(valueWords(given), items)) : []);
    value.placeholder = one && one.values.length ? text.search.attributeValues(one.values.slice(0, 3).map(({ value: given }) => valueWords(given)), one.num_values) : text.search.attributeValue;
  };
  name.addEventListener("input", show);
  try {
    known = (await api.attributes()).attributes;
  } catch {
    return; // they can still be typed
  }
  fill(names, known.map((attribute) => option(attribute.name, attribute.items)));
  show();
}

/** `chosen`: [name, value] each, kept up to date; one value for a name, as an item has one. */
export function attributeEditor(chosen, onchange) {
  const list = h("div.chips");
  // Enter in one of the inputs adds the condition; it is no search yet.
  const onkeydown = (event) => {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    add();
  };
  const input = (label) => h("input", { type: "text", maxLength: 512, autocomplete: "off", spellcheck: false, onkeydown, placeholder: label, "aria-label": `${text.search.attributes}: ${label.toLowerCase()}` });
  const [name, value] = [input(text.search.attributeName), input(text.search.attributeValue)];
  const lists = [name, value].map((control) => {
    const known = h("datalist", { id: uniqueId("known") });
    control.setAttribute("list", known.id);
    return known;
  });
  offerKnown(name, value, lists[0], lists[1]);

  function add() {
    const [key, words] = [typedText(name), typedText(value)];
    const missing = key ? (words ? null : value) : name;
    if (missing) {
      missing.focus();
      return;
    }
    chosen.splice(0, chosen.length, ...chosen.filter(([other]) => other !== key), [key, typed(words)]);
    name.value = value.value = "";
    show();
    onchange();
    name.focus();
  }

  function show() {
    fill(list, chosen.map((one) => removable(attributeWords(one), () => {
      chosen.splice(chosen.indexOf(one), 1);
      show();
      onchange();
      name.focus();
    })));
    list.hidden = !chosen.length;
  }
  show();
  return h(
    "fieldset.field",
    h("legend", text.search.attributes),
    list,
    h("div.attribute", name, h("span", { "aria-hidden": "true" }, "="), value, lists, h("button", { type: "button", onclick: add }, text.search.addAttribute)),
    h("p.hint", text.search.attributesHint),
  );
}
