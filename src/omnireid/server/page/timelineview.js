// Who was where, and when: a lane for each person, a bar for each walk in the colour of its camera.

import { api } from "./api.js";
import { cameraPicker } from "./cameras.js";
import { named } from "./conditions.js";
import { choosePerson } from "./dialogs.js";
import { action, field, fill, h, icon, removable, titled } from "./dom.js";
import { cameraName, fromLocal, personName, toLocal } from "./format.js";
import { showItem } from "./itemdialog.js";
import { moment, presets } from "./moment.js";
import { link, pairsOf, remember } from "./router.js";
import { empty, loadInto } from "./states.js";
import { text } from "./text.js";
import { timeline } from "./timeline.js";

const HOUR_MS = 3_600_000;
const MOST_ITEMS = 1000;
const MOST_LANES = 60;
const GAP_MS = 60_000; // a shorter one is no end of a walk
const COLOURS = 8;

export async function timelineView({ query }) {
  const chosen = {
    since: query.get("since") ?? toLocal(new Date(Date.now() - 24 * HOUR_MS)).slice(0, 16),
    until: query.get("until") ?? "",
    camera: query.getAll("camera"),
    person: query.get("person") ? await named(query.get("person")) : null,
  };
  const place = h("section.card.lanes", { "aria-label": text.timeline.title });
  const who = h("div.row");
  const load = () => {
    remember("timeline", pairsOf(chosen));
    loadInto(place, () => lanes(chosen));
  };
  const set = (name) => (value) => {
    chosen[name] = value;
    load();
  };
  const choose = async () => {
    const person = await choosePerson(text.timeline.choose);
    if (person) setPerson(person);
  };
  const setPerson = (person) => {
    showPerson(person);
    set("person")(person);
  };
  const showPerson = (person) => fill(who, person ? removable(personName(person), () => setPerson(null)) : action("", "person", text.timeline.one, choose));
  showPerson(chosen.person);
  const since = moment(chosen.since, set("since"));
  load();
  return titled(
    text.timeline.title,
    text.timeline.lead,
    h("div.toolbar.timeline-tools", field(text.search.since, since), field(text.search.until, moment(chosen.until, set("until"), { isEnd: true })), cameraPicker(chosen.camera, load), who),
    presets((value) => since.set(value)),
    place,
  );
}

async function lanes({ since, until, camera, person }) {
  const found = [];
  let next;
  do {
    const page = await api.items({ since: fromLocal(since), until: fromLocal(until), cameras: camera, identities: person?.id, limit: 500, after: next });
    found.push(...page.items.filter(({ time }) => time));
    next = page.next;
  } while (next && found.length < MOST_ITEMS);
  if (!found.length) return empty("clock", text.timeline.nobody, text.timeline.nobodyHint);
  const cameras = [...new Set(found.map(({ camera: name }) => name))].sort();
  const people = lanesOf(found.reverse(), cameras);
  const shown = people.slice(0, MOST_LANES);
  const all = found.map((item) => ({ item }));
  return [
    h("p.hint", text.timeline.hint(people.length, found.length)),
    next ? h("p.warning", icon("alert"), h("span", text.timeline.more(found.length))) : null,
    shown.length < people.length ? h("p.warning", icon("alert"), h("span", text.timeline.moreLanes(shown.length, people.length))) : null,
    h("ul.legend", { "aria-label": text.search.cameras }, cameras.map((name, index) => h("li", h("span.swatch", { dataset: { colour: index % COLOURS } }), cameraName(name)))),
    timeline(shown, ({ items }) => showItem({ item: items[0] }, { all })),
  ].filter(Boolean);
}

/** People in the order in which they came; whoever is not assigned has a lane for each walk. `items`: the earliest first. */
function lanesOf(items, cameras) {
  const people = new Map();
  for (const item of items) {
    const { identity, name, tracklet, id } = item;
    const key = identity ?? tracklet ?? id;
    if (!people.has(key)) people.set(key, { label: identity ? h("a", { href: link("person", identity) }, personName({ id: identity, name })) : text.nobody, who: identity ? personName({ id: identity, name }) : text.nobody, sightings: [] });
    const { sightings } = people.get(key);
    const end = item.end_time ?? item.time;
    const last = sightings.findLast((/** @type {any} */ sighting) => sighting.camera === item.camera);
    if (last && Date.parse(item.time) - Date.parse(last.end) < GAP_MS) {
      last.items.push(item);
      if (Date.parse(end) > Date.parse(last.end)) last.end = end;
    } else sightings.push({ camera: item.camera, colour: cameras.indexOf(item.camera) % COLOURS, start: item.time, end, items: [item] });
  }
  return [...people.values()];
}
