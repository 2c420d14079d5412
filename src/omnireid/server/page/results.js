// What a search answered: the verdict, then people, the most alike first.

import { splitOff } from "./changes.js";
import { badge, likeness, mark } from "./decisions.js";
import { prefill } from "./enrol.js";
import { h, icon } from "./dom.js";
import { cameraName, percent, personName, rate, score, whenShort } from "./format.js";
import { showItem } from "./itemdialog.js";
import { go, link, refresh } from "./router.js";
import { may } from "./session.js";
import { empty } from "./states.js";
import { people, pictures, text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

export function results(answer, subject) {
  if (!answer.groups.length) {
    return empty("search", text.search.nobodyFound, text.search.nobodyHint);
  }
  return [
    verdict(answer),
    h("p.sr-only", {}, text.search.gridHelp),
    h("ol.groups", {}, answer.groups.map((group) => h("li", {}, card(group, subject)))),
    may("write") && subject.kind === "file" ? enrolNew(subject) : null,
  ];
}

function verdict(answer) {
  const kind = answer.calibrated ? answer.decision : "none";
  const best = answer.groups[0];
  const same = answer.groups.filter(({ decision }) => decision === "same").length;
  const facts = [
    answer.calibrated && best.probability !== null ? percent(best.probability) : null,
    answer.false_alarm_rate ? text.search.stated(rate(answer.false_alarm_rate)) : null,
    people(answer.groups.length),
    answer.is_exact ? text.search.exactDone : text.search.approximateDone,
    text.search.took(answer.took_ms),
  ];
  const notes = [answer.note || (answer.calibrated ? "" : text.search.verdict.noneHint), same > 1 ? text.search.several(same) : ""];
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

function card(group, subject) {
  const [best] = group.candidates;
  const name = group.identity ? personName({ id: group.identity, name: group.name }) : text.nobody;
  const isKnown = Boolean(group.identity);
  return h(
    "article.card.group",
    { "aria-label": name },
    h("button.best", { type: "button", "aria-label": `${text.search.best}: ${name}`, onclick: () => open(best, subject) }, thumbnail(best.item, "big")),
    h(
      "div.group-body",
      {},
      h("div.group-head", {}, h("h3", {}, isKnown ? h("a", { href: link("person", group.identity) }, name) : name), badge(group.decision)),
      likeness(group),
      h("div.strip", {}, group.candidates.map((candidate) => tile(candidate, subject))),
      h("div.row", {}, groupActions(group, isKnown, subject)),
    ),
  );
}

const open = (candidate, subject) => showItem(candidate.item, { candidate, query: subject });

function tile(candidate, subject) {
  const { item, probability } = candidate;
  const known = probability === null || probability === undefined ? score(candidate.score) : percent(probability);
  return h(
    "button.candidate",
    { type: "button", onclick: () => open(candidate, subject) },
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
  if (!isKnown) {
    const items = group.candidates.map(({ item }) => item);
    actions.push(
      h("button.quiet", {
        type: "button",
        onclick: async () => (await splitOff(items, text.search.name)) && refresh(),
      }, icon("edit"), `${text.search.name} (${pictures(items.length)})`),
    );
  } else if (subject.kind === "file") {
    actions.push(
      h("button.quiet", {
        type: "button",
        onclick: () => {
          prefill(subject, { id: group.identity, name: group.name });
          go("enrol");
        },
      }, icon("enrol"), text.search.enrolAs),
    );
  }
  return actions;
}

const enrolNew = (subject) =>
  h("div.row.centred", {}, h("button", {
    type: "button",
    onclick: () => {
      prefill(subject, null);
      go("enrol");
    },
  }, icon("enrol"), text.search.enrolNew));
