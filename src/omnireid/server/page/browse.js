// Everybody and everything in the gallery, a page at a time.

import { api } from "./api.js";
import { cameraSelect } from "./cameras.js";
import { arrowKeys, field, fill, h, select } from "./dom.js";
import { cameraName, days, fromLocal, personName, whenShort } from "./format.js";
import { showItem } from "./itemdialog.js";
import { link } from "./router.js";
import { empty, failed, loading } from "./states.js";
import { cameras as cameraCount, pictures, text } from "./text.js";
import { personThumbnail, thumbnail } from "./thumbnails.js";

const PAGE = 48;

/**
 * { element, load() }: a grid that asks for pages. `ask(after, signal)` gives { tiles, next }; `load` begins anew.
 */
function pagedGrid(ask, nothing) {
  const grid = h("div.browse-grid");
  const foot = h("div.row.centred");
  let running = null;

  async function page(after) {
    running?.abort();
    running = new AbortController();
    fill(foot, loading());
    try {
      const { tiles, next } = await ask(after, running.signal);
      if (!after) fill(grid);
      grid.append(...tiles);
      const isEmpty = !grid.childElementCount;
      fill(
        foot,
        isEmpty ? nothing() : null,
        next ? h("button", { type: "button", onclick: () => page(next) }, text.more) : null,
        isEmpty ? null : h("span.hint", { role: "status" }, text.browse.shown(grid.childElementCount)),
      );
    } catch (error) {
      if (error.name !== "AbortError") fill(foot, failed(error, () => page(after)));
    }
  }

  arrowKeys(grid, ".tile");
  return { element: h("div", {}, grid, foot), load: () => page() };
}

const chosen = { text: "", camera: "", since: "", until: "", has: "" };

export async function peopleView() {
  const list = pagedGrid(
    async (after, signal) => {
      const { identities, next } = await api.identities({ text: chosen.text, limit: PAGE, after }, signal);
      return { tiles: identities.map(personTile), next };
    },
    () => empty("people", text.browse.noPeople, chosen.text ? text.choosePerson.none : text.browse.noPeopleHint),
  );
  const input = h("input", { type: "search", value: chosen.text, autocomplete: "off", placeholder: text.choosePerson.placeholder });
  let timer = 0;
  input.addEventListener("input", () => {
    chosen.text = input.value.trim();
    clearTimeout(timer);
    timer = setTimeout(list.load, 200);
  });
  list.load();
  return h("div", {}, h("h1", {}, text.browse.people), h("p.lead", {}, text.browse.peopleLead), h("div.toolbar", {}, field(text.browse.find, input)), list.element);
}

function personTile(person) {
  const seen = person.first_seen ? days(person.first_seen, person.last_seen) : text.noTime;
  return h(
    "a.tile.person-tile",
    { href: link("person", person.id) },
    personThumbnail(person.id, "middle"),
    h("span.tile-line.strong", {}, personName(person)),
    h("span.tile-line.hint", {}, pictures(person.items)),
    h("span.tile-line.hint", {}, cameraCount(person.cameras.length)),
    h("span.tile-line.hint", {}, seen),
  );
}

export async function picturesView() {
  const list = pagedGrid(
    async (after, signal) => {
      const { camera, since, until, has } = chosen;
      const query = { camera, since: fromLocal(since), until: fromLocal(until), has_identity: has, limit: PAGE, after };
      const { items, next } = await api.items(query, signal);
      return { tiles: items.map(itemTile), next };
    },
    () => empty("pictures", text.browse.noPictures, text.browse.noPicturesHint),
  );
  const set = (name) => (value) => {
    chosen[name] = value;
    list.load();
  };
  const moment = (name) => {
    const input = h("input", { type: "datetime-local", step: 1, value: chosen[name], onchange: () => set(name)(input.value) });
    return input;
  };
  const assigned = [["", text.browse.anything], ["false", text.browse.unassigned], ["true", text.browse.assigned]];
  list.load();
  return h(
    "div",
    {},
    h("h1", {}, text.browse.pictures),
    h("p.lead", {}, text.browse.picturesLead),
    h(
      "div.toolbar",
      {},
      field(text.browse.camera, cameraSelect(chosen.camera, set("camera"))),
      field(text.search.since, moment("since")),
      field(text.search.until, moment("until")),
      field(text.browse.only, select(assigned, chosen.has, set("has"))),
    ),
    list.element,
  );
}

const itemTile = (item) =>
  h(
    "button.tile",
    { type: "button", onclick: () => showItem(item) },
    thumbnail(item, "middle"),
    h("span.tile-line.strong", {}, item.identity ? personName({ id: item.identity, name: item.name }) : text.nobody),
    h("span.tile-line", {}, cameraName(item.camera)),
    h("span.tile-line.hint", {}, whenShort(item.time)),
  );
