// Conditions on attributes: a name, and exactly this value of exactly this type.

import { fill, h, removable, typedText } from "./dom.js";
import { attributeWords } from "./format.js";
import { text } from "./text.js";

const NUMBER = /^-?\d+(\.\d+)?$/;
const QUOTED = /^"(.*)"$/;

/** "true" → true, "7" → 7, "\"7\"" → "7", everything else as it is. */
export function typed(words) {
  if (words === "true" || words === "false") return words === "true";
  if (NUMBER.test(words)) return Number(words);
  return QUOTED.exec(words)?.[1] ?? words;
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
    {},
    h("legend", {}, text.search.attributes),
    list,
    h("div.attribute", {}, name, h("span", { "aria-hidden": "true" }, "="), value, h("button", { type: "button", onclick: add }, text.search.addAttribute)),
    h("p.hint", {}, text.search.attributesHint),
  );
}
