// What can be done with several pictures, or with several people, at once.

import { api } from "./api.js";
import { peopleCaseButton, picturesCaseButton } from "./cases.js";
import { assign, forgetItems, forgetPeople, joinGroups, splitOff } from "./changes.js";
import { noConditions } from "./conditions.js";
import { action } from "./dom.js";
import { cameraName, personName, when } from "./format.js";
import { spread } from "./more.js";
import { go, refresh } from "./router.js";
import { searchWith } from "./searchstate.js";
import { Selection } from "./selection.js";
import { may } from "./session.js";
import { searchSeveral } from "./several.js";
import { fromItem, fromItems, readPicture, together } from "./subject.js";
import { text } from "./text.js";
import { attempt, toast } from "./toasts.js";
import { watchFor } from "./watch.js";

const MOST_TO_FIND = 20;

const then = (run) => async () => (await run()) && refresh();

const atMost = (chosen, words) => (chosen.length > MOST_TO_FIND ? { disabled: true, title: words(MOST_TO_FIND) } : {});

/** Chosen pictures (selection.js). */
export const pictureSelection = (order, { canAll = false } = {}) =>
  new Selection({
    order,
    canAll,
    count: text.grid.picturesChosen,
    actions: (items) => [
      action("", "search", text.grid.find, () => findPerson(items), atMost(items, text.grid.findMost)),
      may("write") ? [
        action("", "split", text.person.split, then(() => splitOff(items))),
        action("", "move", text.person.move, then(() => assign(items))),
        picturesCaseButton(items),
        action(".danger-quiet", "forget", text.grid.forget, then(() => forgetItems(items))),
      ] : null,
    ],
  });

/** Chosen people, as /v1/identities gives them. */
export const peopleSelection = (order) =>
  new Selection({
    order,
    canAll: true,
    count: text.grid.peopleChosen,
    actions: (people) => [
      action("", "search", text.grid.findMore(people.length), () => findMore(people), atMost(people, text.grid.findMoreMost)),
      may("write") ? [
        action("", "merge", text.join.run, then(() => joinGroups(people.map(({ id, name }) => ({ identity: id, name })))), { disabled: people.length < 2 }),
        peopleCaseButton(people),
        action("", "watch", text.watch.button, async () => (await watchFor(people)) && go("watch")),
        action(".danger-quiet", "forget", text.grid.forget, then(() => forgetPeople(people))),
      ] : null,
    ],
  });

/** Search with one picture, or with several as those of one person. */
const findPerson = (items) =>
  attempt(async () => {
    if (items.length === 1) {
      searchWith(fromItem(items[0]));
      return;
    }
    const kept = items.filter((item) => item.has_thumbnail);
    const pictures = await Promise.all(kept.map(async (item) => readPicture(new File([await api.thumbnail(item.id)], `${cameraName(item.camera)} ${when(item.time)}`))));
    searchWith(together(pictures));
  });

/** Search for more pictures of each person, among those that nobody has been assigned to: a search for each. */
const findMore = (people) =>
  attempt(async () => {
    const all = await Promise.all(people.map(async (person) => ({ person, items: spread((await api.items({ identities: person.id, limit: 1000 })).items) })));
    const [kept, lost] = [true, false].map((isKept) => all.filter(({ items }) => items.length > 0 === isKept));
    if (lost.length) toast(text.grid.nothingKept(lost.map(({ person }) => personName(person))), { kind: "problem" });
    const conditions = { ...noConditions(), isUnassigned: true };
    const searches = kept.map(({ person, items }) => ({ subject: fromItems(items), name: personName(person) }));
    if (searches.length === 1) searchWith(searches[0].subject, conditions);
    else if (searches.length) searchSeveral(searches, conditions, "people");
  });
