// What a search answered: the verdict, then people, the most alike first. Everything here is about the answer's own
// question, whatever the form holds meanwhile.

import { samePerson, splitOff } from "./changes.js";
import { groupName, sayable } from "./certainty.js";
import { badge, likeness, mark } from "./decisions.js";
import { h, icon } from "./dom.js";
import { prefill } from "./enrol.js";
import { cameraName, score, whenShort } from "./format.js";
import { showItem } from "./itemdialog.js";
import { go, link, refresh } from "./router.js";
import { may } from "./session.js";
import { itemsOf, ownerOf, picturesOf } from "./subject.js";
import { pictures, text } from "./text.js";
import { loadAll, thumbnail } from "./thumbnails.js";
import { verdict } from "./verdict.js";

/** `question`: that the answer answers (question.js). */
export function results(raw, question) {
  const answer = sayable(raw);
  const { subject } = question;
  const all = answer.groups.flatMap(({ candidates }) => candidates);
  const open = (candidate) => showItem(candidate, { query: subject, all });
  const groups = h("ol.groups", {}, answer.groups.map((group) => h("li", {}, card(group, subject, open))));
  return [
    verdict(answer, question, [], null),
    h("p.sr-only", {}, text.search.gridHelp),
    groups,
    h("div.row.centred", {}, may("write") && picturesOf(subject).length ? enrolNew(subject) : null, h("button", { type: "button", onclick: () => loadAll(groups.closest(".results")).then(() => print()) }, icon("print"), text.search.print)),
  ];
}

function card(group, subject, open) {
  const [best] = group.candidates;
  const name = groupName(group);
  const isKnown = Boolean(group.identity);
  return h(
    "article.card.group",
    { "aria-label": name },
    h("button.best", { type: "button", "aria-label": `${text.search.best}: ${name}`, onclick: () => open(best) }, thumbnail(best.item, "big")),
    h(
      "div.group-body",
      {},
      h("div.group-head", {}, h("h3", {}, isKnown ? h("a", { href: link("person", group.identity) }, name) : name), badge(group.decision)),
      likeness(group),
      h("div.strip", {}, group.candidates.map((candidate) => tile(candidate, open, isKnown))),
      h("div.row", {}, groupActions(group, isKnown, subject)),
    ),
  );
}

/** The probability is its person's; of a picture there is only a score. */
function tile(candidate, open, isOfSomebody) {
  const { item } = candidate;
  return h(
    "button.candidate",
    { type: "button", onclick: () => open(candidate) },
    thumbnail(item, "middle"),
    h("span.candidate-likeness", {}, mark(candidate.decision), h("span", { title: text.scoreHint }, h("span.sr-only", {}, `${text.score} `), score(candidate.score))),
    h("span.tile-line", {}, cameraName(item.camera)),
    h("span.tile-line.hint", {}, whenShort(item.time)),
    isOfSomebody && !item.identity ? h("span.tile-line.hint", {}, text.answer.notYetAssigned) : null,
  );
}

function groupActions(group, isKnown, subject) {
  const actions = [];
  if (isKnown) actions.push(h("a.button.quiet", { href: link("person", group.identity) }, icon("person"), text.search.open));
  if (!may("write")) return actions;
  const items = group.candidates.map(({ item }) => item);
  const same = samePerson(subject, group, items);
  if (same) {
    actions.push(h("button.quiet", { type: "button", onclick: async () => (await same.run()) && refresh() }, icon("tick"), same.words));
  }
  if (!isKnown && !(itemsOf(subject).length && !ownerOf(subject))) {
    actions.push(
      h("button.quiet", {
        type: "button",
        onclick: async () => (await splitOff(items, text.search.name)) && refresh(),
      }, icon("edit"), `${text.search.name} (${pictures(items.length)})`),
    );
  }
  if (isKnown && picturesOf(subject).length) {
    const words = subject.kind === "tracklet" ? text.search.enrolManyAs(subject.pictures.length) : text.search.enrolAs;
    actions.push(
      h("button.quiet", {
        type: "button",
        onclick: () => {
          prefill(subject, { id: group.identity, name: group.name });
          go("enrol");
        },
      }, icon("enrol"), words),
    );
  }
  return actions;
}

const enrolNew = (subject) =>
  h("button", {
    type: "button",
    onclick: () => {
      prefill(subject, null);
      go("enrol");
    },
  }, icon("enrol"), subject.kind === "tracklet" ? text.search.enrolManyNew(subject.pictures.length) : text.search.enrolNew);
