// What a search answered: the verdict, then people, the most alike first. Everything here is about the answer's own
// question, whatever the form holds meanwhile.

import { joinGroups, samePerson, splitOff } from "./changes.js";
import { caseButton } from "./cases.js";
import { groupName, sayable } from "./certainty.js";
import { badge, likeness, mark } from "./decisions.js";
import { action, arrowKeys, h, icon, select, uniqueId } from "./dom.js";
import { enrolAs } from "./enrol.js";
import { cameraName, score, whenShort } from "./format.js";
import { showItem } from "./itemdialog.js";
import { rejectButton } from "./reject.js";
import { link, refresh } from "./router.js";
import { Selection } from "./selection.js";
import { may } from "./session.js";
import { itemsOf, ownerOf, picturesOf } from "./subject.js";
import { pictures, text } from "./text.js";
import { loadAll, thumbnail } from "./thumbnails.js";
import { verdict } from "./verdict.js";
import { byTime, lastSeen, whereAndWhen } from "./where.js";

const ORDERS = [["likeness", text.where.byLikeness], ["time", text.where.byTime]];
let order = "likeness"; // as it was chosen last

/** `question`: that the answer answers (question.js); `quality`: of its pictures (quality.js). */
export function results(raw, question, quality, isWide) {
  const answer = sayable(raw, quality.isPoor);
  const { subject } = question;
  let all = [];
  const open = (candidate) => showItem(candidate, { query: subject, all });
  const choosing = joining();
  const mayJoin = may("write") && answer.groups.length > 1;

  function list() {
    const groups = order === "time" ? byTime(answer.groups) : answer.groups;
    all = groups.flatMap(({ candidates }) => candidates);
    const element = h("ol.groups", groups.map((group) => h("li", card(group, subject, open, mayJoin ? choosing.choice(group) : null))));
    arrowKeys(element, ".candidate", ".strip");
    return element;
  }
  let shown = list();
  const ordered = select(ORDERS, order, (value) => {
    order = value;
    const next = list();
    shown.replaceWith(next);
    shown = next;
  });
  const head = verdict(answer, question, quality.words, lastSeen(answer));
  head.querySelector("h2").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    shown.querySelector(".candidate")?.focus();
  });
  return [
    head,
    // Of somebody new nobody's times are the answer.
    whereAndWhen(answer, open, isWide && answer.decision !== "new"),
    h("div.with-button.ordering", h("label", { htmlFor: (ordered.id = uniqueId("order")) }, text.where.order), ordered),
    h("p.sr-only", text.search.gridHelp),
    shown,
    h("div.row.centred", may("write") && picturesOf(subject).length ? enrolNew(subject) : null, caseButton(raw, subject, question.words), action("", "print", text.search.print, () => loadAll(shown.closest(".results")).then(() => print()))),
    choosing.bar,
  ];
}

/** { bar, choice(group) }: a checkbox for each group, and what can be done with those that are chosen. */
function joining() {
  const selection = new Selection({
    count: text.grid.peopleChosen,
    actions: (chosen) => [
      chosen.length === 1 ? h("span.hint", text.join.another) : null,
      action(".primary", "merge", text.join.run, async () => (await joinGroups(chosen.map(({ group }) => group))) && refresh(), { disabled: chosen.length < 2 }),
    ],
  });
  // Pictures of nobody have no id: the first of theirs stands for them, in whatever order they are.
  const idOf = ({ identity, candidates }) => identity ?? candidates.map(({ item }) => item.id).sort()[0];
  const choice = (group) => h("label.check", selection.checkbox({ id: idOf(group), group }, text.join.chooseWho(groupName(group)), "input"), h("span", text.join.choose));
  return { bar: selection.bar, choice };
}

function card(group, subject, open, choice) {
  const [best] = group.candidates;
  const name = groupName(group);
  const isKnown = Boolean(group.identity);
  return h(
    "article.card.group",
    { "aria-label": name },
    h("button.best", { type: "button", "aria-label": `${text.search.best}: ${name}`, onclick: () => open(best) }, thumbnail(best.item, "big")),
    h(
      "div.group-body",
      h("div.group-head", h("h3", isKnown ? h("a", { href: link("person", group.identity) }, name) : name), h("span.group-marks", choice, badge(group.decision))),
      likeness(group),
      h("div.strip", group.candidates.map((candidate) => tile(candidate, open, isKnown))),
      h("div.row.group-actions", groupActions(group, isKnown, subject)),
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
    h("span.candidate-likeness", mark(isOfSomebody && !item.identity ? null : candidate.decision), h("span", { title: text.scoreHint }, h("span.sr-only", `${text.score} `), score(candidate.score))),
    h("span.tile-line", cameraName(item.camera)),
    h("span.tile-line.hint", whenShort(item.time)),
    isOfSomebody && !item.identity ? h("span.tile-line.hint", text.answer.notYetAssigned) : null,
  );
}

function groupActions(group, isKnown, subject) {
  const actions = [];
  if (isKnown) actions.push(h("a.button.quiet", { href: link("person", group.identity) }, icon("person"), text.search.open));
  if (!may("write")) return actions;
  const items = group.candidates.map(({ item }) => item);
  const same = samePerson(subject, group, items);
  if (same) actions.push(action(".quiet", "tick", same.words, async () => (await same.run()) && refresh()));
  if (!isKnown && !(itemsOf(subject).length && !ownerOf(subject))) {
    actions.push(action(".quiet", "edit", `${text.search.name} (${pictures(items.length)})`, async () => (await splitOff(items, text.search.name)) && refresh()));
  }
  if (isKnown && picturesOf(subject).length) {
    const words = subject.kind === "tracklet" ? text.search.enrolManyAs(subject.pictures.length) : text.search.enrolAs;
    actions.push(action(".quiet", "enrol", words, () => enrolAs(subject, { id: group.identity, name: group.name })));
  }
  return [...actions, rejectButton(subject, group.identity)];
}

const enrolNew = (subject) =>
  action("", "enrol", subject.kind === "tracklet" ? text.search.enrolManyNew(subject.pictures.length) : text.search.enrolNew, () => enrolAs(subject, null));
