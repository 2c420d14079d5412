// What a search answered: the verdict, then people, the most alike first.

import { samePerson, splitOff } from "./changes.js";
import { caseButton } from "./cases.js";
import { badge, likeness, mark, meaningOf } from "./decisions.js";
import { prefill } from "./enrol.js";
import { h, icon } from "./dom.js";
import { cameraName, oneIn, percent, personName, score, whenShort } from "./format.js";
import { showItem } from "./itemdialog.js";
import { go, link, refresh } from "./router.js";
import { may } from "./session.js";
import { people, pictures, text } from "./text.js";
import { loadAll, thumbnail } from "./thumbnails.js";

/** `words`: the conditions that the answer had. */
export function results(answer, subject, words) {
  const all = answer.groups.flatMap(({ candidates }) => candidates);
  const open = (candidate) => showItem(candidate, { query: subject, all });
  const groups = h("ol.groups", {}, answer.groups.map((group) => h("li", {}, card(group, subject, open))));
  return [
    verdict(answer, words),
    h("p.sr-only", {}, text.search.gridHelp),
    groups,
    h("div.row.centred", {}, may("write") && subject.kind !== "item" ? enrolNew(subject) : null, caseButton(answer, subject, words), h("button", { type: "button", onclick: () => loadAll(groups).then(() => print()) }, icon("print"), text.search.print)),
  ];
}

function verdict(answer, words) {
  const kind = answer.calibrated ? answer.decision ?? "none" : "none";
  const best = answer.groups[0];
  const same = answer.groups.filter(({ decision }) => decision === "same").length;
  const facts = [
    answer.calibrated && best.probability !== null ? percent(best.probability) : null,
    people(answer.groups.length),
    answer.is_exact ? text.search.exactDone : text.search.approximateDone,
    text.search.took(answer.took_ms),
  ];
  const notes = [
    words.length ? text.search.only(words) : "",
    same > 1 ? text.search.several(same) : "",
    answer.note || (answer.calibrated ? "" : text.search.verdict.noneHint),
    [answer.false_alarm_rate ? meaningOf(answer.false_alarm_rate) : "", answer.prior ? text.search.prior(oneIn(answer.prior)) : ""].join(" ").trim(),
  ];
  return h(
    `header.verdict.${kind}`,
    {},
    icon(kind === "none" ? "score" : kind),
    h("div.grow", {}, h("h2", { tabIndex: -1 }, title(kind, best)), h("p.hint", {}, facts.filter(Boolean).join(" · ")), notes.filter(Boolean).map((note) => h("p.note", {}, note))),
  );
}

function title(kind, best) {
  if (kind !== "same") return text.search.verdict[kind];
  return best.identity ? text.search.is(personName({ id: best.identity, name: best.name })) : text.search.isUnassigned;
}

function card(group, subject, open) {
  const [best] = group.candidates;
  const name = group.identity ? personName({ id: group.identity, name: group.name }) : text.nobody;
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
      h("div.strip", {}, group.candidates.map((candidate) => tile(candidate, open))),
      h("div.row", {}, groupActions(group, isKnown, subject)),
    ),
  );
}

function tile(candidate, open) {
  const { item, probability } = candidate;
  const known = probability === null || probability === undefined ? score(candidate.score) : percent(probability);
  return h(
    "button.candidate",
    { type: "button", onclick: () => open(candidate) },
    thumbnail(item, "middle"),
    h("span.candidate-likeness", {}, mark(candidate.decision), known),
    h("span.tile-line", {}, cameraName(item.camera)),
    h("span.tile-line.hint", {}, whenShort(item.time)),
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
  if (!isKnown && !(subject.kind === "item" && !subject.item.identity)) {
    actions.push(
      h("button.quiet", {
        type: "button",
        onclick: async () => (await splitOff(items, text.search.name)) && refresh(),
      }, icon("edit"), `${text.search.name} (${pictures(items.length)})`),
    );
  }
  if (isKnown && subject.kind !== "item") {
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
