// Choosing people of an answer who are one person, and joining them.

import { joinGroups } from "./changes.js";
import { groupName } from "./certainty.js";
import { checkbox, fill, h, icon } from "./dom.js";
import { refresh } from "./router.js";
import { text } from "./text.js";

/** { bar, choice(group) }: a checkbox for each group, and what can be done with those that are chosen. */
export function joining() {
  const chosen = new Map(); // groups in the order they were chosen, with their boxes
  const bar = h("div.selection-bar", { role: "region", "aria-label": text.join.chosen(0), hidden: true });

  function show() {
    const groups = [...chosen.keys()];
    const words = text.join.chosen(groups.length);
    bar.hidden = !groups.length;
    bar.setAttribute("aria-label", words);
    fill(
      bar,
      h("span.grow.strong", { role: "status" }, words, h("span.hint", {}, groups.length === 1 ? text.join.another : "")),
      h("button.primary", { type: "button", disabled: groups.length < 2, onclick: async () => (await joinGroups(groups)) && refresh() }, icon("merge"), text.join.run),
      h("button.icon-button", { type: "button", "aria-label": text.person.clear, onclick: clear }, icon("close")),
    );
  }

  function clear() {
    for (const box of chosen.values()) box.checked = false;
    chosen.clear();
    show();
  }

  function choice(group) {
    const element = checkbox(text.join.choose, chosen.has(group), (isOn) => {
      if (isOn) chosen.set(group, box);
      else chosen.delete(group);
      show();
    });
    const box = element.querySelector("input");
    box.setAttribute("aria-label", text.join.chooseWho(groupName(group)));
    return element;
  }
  return { bar, choice };
}
