// Everybody and everything in the gallery, a page at a time.

import { api } from "./api.js";
import { peopleSelection, pictureSelection } from "./bulk.js";
import { cameraPicker } from "./cameras.js";
import { named } from "./conditions.js";
import { choosePerson } from "./dialogs.js";
import { field, fill, h, icon, select, titled, typedText } from "./dom.js";
import { cameraName, days, fromLocal, personName, whenShort } from "./format.js";
import { virtualGrid } from "./grid.js";
import { showItem } from "./itemdialog.js";
import { moment } from "./moment.js";
import { go, link, pairsOf, remember } from "./router.js";
import { may } from "./session.js";
import { empty } from "./states.js";
import { cameras as cameraCount, pictures, text } from "./text.js";
import { pictureOf, thumbnail } from "./thumbnails.js";

const PAGE = { people: 500, pictures: 200 };

// What each view looks for; kept while others are shown.
const nobodyChosen = () => ({ people: { text: "" }, pictures: { camera: [], since: "", until: "", has: "", person: null } });
const chosen = nobodyChosen();

export const resetBrowsing = () => Object.assign(chosen, nobodyChosen());

/** Be as the address says; where it says nothing, say there what is kept. */
async function follow(view, { query, isCurrent }) {
  if (query.size) {
    const wanted = nobodyChosen()[view];
    for (const name of Object.keys(wanted)) wanted[name] = Array.isArray(wanted[name]) ? query.getAll(name) : query.get(name) ?? wanted[name];
    if (wanted.person) wanted.person = await named(wanted.person);
    if (!isCurrent()) return;
    chosen[view] = wanted;
  }
  say(view);
}

const say = (view) => remember(view, pairsOf(chosen[view]));

export async function peopleView(here) {
  await follow("people", here);
  const list = virtualGrid({
    ask: async (after, signal) => {
      const { identities, next } = await api.identities({ text: chosen.people.text, limit: PAGE.people, after }, signal);
      return { entries: identities, next };
    },
    tile: (person) => personTile(person, selection),
    focus: ".bare",
    nothing: () => (chosen.people.text ? empty("people", text.browse.nobodyNamed(chosen.people.text)) : empty("people", text.browse.noPeople, text.browse.noPeopleHint, enrolLink())),
  });
  const selection = peopleSelection(list.entries);
  const input = h("input", { type: "search", value: chosen.people.text, autocomplete: "off", placeholder: text.browse.findHint });
  let timer = 0;
  input.addEventListener("input", () => {
    chosen.people.text = typedText(input);
    say("people");
    selection.clear();
    clearTimeout(timer);
    timer = setTimeout(list.load, 200);
  });
  list.load();
  return titled(text.browse.people, [text.browse.peopleLead, " ", h("a", { href: link("timeline") }, text.timeline.link)], h("div.toolbar.with-size", field(text.browse.find, input), list.tools), list.element, selection.bar);
}

function personTile(person, selection) {
  const seen = person.first_seen ? days(person.first_seen, person.last_seen) : text.noTime;
  return h(
    "div.tile.person-tile",
    { title: personName(person) },
    h(
      "a.bare",
      { href: link("person", person.id) },
      pictureOf(person),
      h("span.tile-line.strong", personName(person)),
      h("span.tile-line.hint", pictures(person.items)),
      h("span.tile-line.hint", cameraCount(person.cameras.length)),
      h("span.tile-line.hint", seen),
    ),
    selection.checkbox(person, text.grid.choosePerson(personName(person))),
  );
}

export async function picturesView(here) {
  await follow("pictures", here);
  const list = virtualGrid({
    ask: async (after, signal) => {
      const { camera, since, until, has, person } = chosen.pictures;
      const wanted = { cameras: camera, since: fromLocal(since), until: fromLocal(until), has_identity: has, identities: person?.id, limit: PAGE.pictures, after };
      const { items, next } = await api.items(wanted, signal);
      return { entries: items, next };
    },
    tile: (item) => itemTile(item, list.entries, selection),
    focus: ".bare",
    nothing: () => empty("pictures", text.browse.noPictures, isNarrowed() ? text.browse.noPicturesHint : text.search.nobodyHint, clearOrEnrol()),
  });
  const selection = pictureSelection(list.entries, { canAll: true });
  const set = (name) => (value) => {
    chosen.pictures[name] = value;
    say("pictures");
    selection.clear();
    list.load();
  };
  const isNarrowed = () => Object.values(chosen.pictures).flat().some(Boolean);
  const clear = () => {
    resetBrowsing();
    go("pictures");
  };
  const clearOrEnrol = () => (isNarrowed() ? h("button", { type: "button", onclick: clear }, text.search.clear) : enrolLink());
  const assigned = [["", text.browse.anything], ["false", text.browse.unassigned], ["true", text.browse.assigned]];
  list.load();
  return titled(
    text.browse.pictures,
    text.browse.picturesLead,
    h(
      "div.toolbar",
      cameraPicker(chosen.pictures.camera, set("camera")),
      field(text.search.since, moment(chosen.pictures.since, set("since"))),
      field(text.search.until, moment(chosen.pictures.until, set("until"))),
      field(text.browse.only, select(assigned, chosen.pictures.has, set("has"))),
      personFilter(set("person")),
      list.tools,
    ),
    list.element,
    selection.bar,
  );
}

/** One person, or everybody. */
function personFilter(onchange) {
  const button = h("button", {
    type: "button",
    onclick: async () => {
      const person = chosen.pictures.person ? null : await choosePerson(text.search.person);
      if (person === chosen.pictures.person) return;
      onchange(person);
      label();
    },
  });
  const label = () => fill(button, icon(chosen.pictures.person ? "close" : "person"), chosen.pictures.person ? personName(chosen.pictures.person) : text.search.anybody);
  label();
  return h("div.field", { role: "group", "aria-label": text.search.person }, h("span.label", text.search.person), button);
}

const enrolLink = () => (may("write") ? h("a.button", { href: link("enrol") }, icon("enrol"), text.views.enrol) : null);

function itemTile(item, all, selection) {
  const who = item.identity ? personName({ id: item.identity, name: item.name }) : text.nobody;
  const words = [who, cameraName(item.camera), whenShort(item.time)];
  const open = () => showItem({ item }, { all: all().map((one) => ({ item: one })) });
  return h(
    "div.tile",
    { title: words.join(" · ") },
    h("button.bare", { type: "button", "aria-label": `${text.item.view}: ${words.join(", ")}`, onclick: open }, thumbnail(item, "middle")),
    selection.checkbox(item, text.grid.choosePicture(words[1], words[2])),
    h("span.tile-line.strong", words[0]),
    h("span.tile-line", words[1]),
    h("span.tile-line.hint", words[2]),
  );
}
