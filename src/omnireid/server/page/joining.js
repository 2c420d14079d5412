// Choosing people of an answer who are one person, and joining them.

import { joinGroups } from "./changes.js";
import { groupName } from "./certainty.js";
import { h } from "./dom.js";
import { refresh } from "./router.js";
import { action, Selection } from "./selection.js";
import { text } from "./text.js";

/** { bar, choice(group) }: a checkbox for each group, and what can be done with those that are chosen. */
export function joining() {
  const selection = new Selection({
    count: text.grid.peopleChosen,
    actions: (chosen) => [
      chosen.length === 1 ? h("span.hint", {}, text.join.another) : null,
      action(".primary", "merge", text.join.run, async () => (await joinGroups(chosen.map(({ group }) => group))) && refresh(), { disabled: chosen.length < 2 }),
    ],
  });
  // Pictures of nobody have no id: the first of theirs stands for them, in whatever order they are.
  const idOf = ({ identity, candidates }) => identity ?? candidates.map(({ item }) => item.id).sort()[0];
  const choice = (group) => h("label.check", {}, selection.checkbox({ id: idOf(group), group }, text.join.chooseWho(groupName(group)), "input"), h("span", {}, text.join.choose));
  return { bar: selection.bar, choice };
}
