// One person: where and when, their pictures, and what an operator may change.

import { api } from "./api.js";
import { pictureSelection } from "./bulk.js";
import { peopleCaseButton } from "./cases.js";
import { forgetPeople, mergeInto, rename } from "./changes.js";
import { copyable } from "./copy.js";
import { action, fill, h, icon } from "./dom.js";
import { cameraName, clocks, personName, span, when } from "./format.js";
import { showItem } from "./itemdialog.js";
import { loadPlan, wayOn } from "./floorplan.js";
import { moreButton } from "./more.js";
import { go, link } from "./router.js";
import { may } from "./session.js";
import { empty } from "./states.js";
import { cameras as cameraCount, pictures, text } from "./text.js";
import { pictureOf, thumbnail } from "./thumbnails.js";
import { timeline } from "./timeline.js";
import { watchButton } from "./watch.js";

const SHOWN = 12; // pictures of a sighting before "show all"

export async function personView({ id }) {
  let person;
  let lanes;
  let plan;
  try {
    [person, { cameras: lanes }, plan] = await Promise.all([api.identity(id), api.timeline(id), loadPlan().catch(() => null)]);
  } catch (error) {
    if (error.status !== 404) throw error;
    return empty("person", text.errors.title, text.person.gone, h("a.button", { href: link("people") }, text.views.people));
  }
  document.title = `${personName(person)} · ${text.product}`;
  const sightings = lanes.flatMap(({ camera, sightings: seen }) => seen.map((sighting) => ({ ...sighting, camera, key: sighting.items[0].id })));
  // The latest first, those without time last.
  sightings.sort((a, b) => (b.start ? Date.parse(b.start) : -Infinity) - (a.start ? Date.parse(a.start) : -Infinity));
  const all = sightings.flatMap(({ items }) => items.map((item) => ({ item })));
  const selection = pictureSelection(() => all.map(({ item }) => item));
  const sections = new Map(sightings.map((sighting) => [sighting.key, section(sighting, selection, all)]));
  const lead = ({ items }) => {
    const target = sections.get(items[0].id);
    target.scrollIntoView({ block: "start" });
    target.querySelector("h3").focus({ preventScroll: true });
  };
  const line = timeline(lanes, lead);
  const way = plan && wayOn(plan, lanes, lead);
  return h(
    "div.person",
    h("a.back", { href: link("people") }, icon("back"), text.person.back),
    head(person, sightings),
    line ? h("section.card", h("h2", text.person.timeline), h("p.hint", text.person.timelineHint), line) : null,
    way ? h("section.card", h("h2", text.plan.way), h("p.hint", text.plan.wayHint), way) : null,
    h("h2", text.person.sightings),
    h("div.sightings", [...sections.values()]),
    selection.bar,
  );
}

function head(person, sightings) {
  const facts = [
    pictures(person.items),
    cameraCount(person.cameras.length),
    person.first_seen ? `${text.person.first} ${when(person.first_seen)}` : null,
    person.last_seen ? `${text.person.last} ${when(person.last_seen)}` : null,
    person.merged.length ? text.person.aliases(person.merged.length) : null,
  ];
  return h(
    "header.person-head",
    pictureOf(person, "big"),
    h(
      "div.grow",
      h("h1", personName(person)),
      h("p.hint", copyable(person.id)),
      h("p", facts.filter(Boolean).join(" · ")),
      h("div.row", moreButton(sightings.flatMap(({ items }) => items)), may("write") ? actions(person) : null),
      may("write") ? null : h("p.hint", text.readOnly),
    ),
  );
}

const actions = (person) => [
  action("", "edit", text.person.rename, () => rename(person)),
  action("", "merge", text.person.merge, async () => {
    const into = await mergeInto(person);
    if (into) go("person", into.id);
  }),
  peopleCaseButton([person]),
  watchButton(person),
  action(".danger-quiet", "forget", text.person.forget, async () => (await forgetPeople([person])) && go("people")),
];

function section(sighting, selection, all) {
  const { camera, start, end, items } = sighting;
  const tiles = h("div.tiles");
  const show = (count) => {
    const rest = items.length - count;
    fill(
      tiles,
      items.slice(0, count).map((item) => tile(item, selection, all)),
      rest > 0 ? h("button.tile-more", { type: "button", onclick: () => show(items.length) }, text.person.showAll(items.length)) : null,
    );
  };
  show(SHOWN);
  return h(
    "section.sighting",
    h(
      "div.sighting-head",
      h("h3", { tabIndex: -1 }, cameraName(camera), h("span.hint", start ? span(start, end) : text.person.untimed)),
      may("write") && items.length > 1
        ? action(".quiet", "tick", text.person.chooseAll, () => { show(items.length); selection.set(items, true); })
        : null,
    ),
    tiles,
  );
}

function tile(item, selection, all) {
  return h(
    "div.tile",
    h("button.bare", { type: "button", "aria-label": `${text.item.view}, ${cameraName(item.camera)}, ${when(item.time)}`, onclick: () => showItem({ item }, { all }) }, thumbnail(item)),
    may("write") ? selection.checkbox(item, text.grid.choosePicture(cameraName(item.camera), when(item.time))) : null,
    h("span.tile-line.hint", item.time ? clocks(item.time, item.end_time) : text.noTime),
  );
}
