// Where people are now on the floors that cameras see, and where they were in the last minute.

import { api } from "./api.js";
import { draw, fill, h, icon, keepFocus, titled } from "./dom.js";
import { cameraName } from "./format.js";
import { keepAsking, rowOf, whoIs } from "./live.js";
import { go, link } from "./router.js";
import { empty } from "./states.js";
import { text } from "./text.js";

const COLOURS = 8;
const WIDTH = 640; // before it is shown
const TALLEST = 0.7; // of the window
const LETTER = 9; // of a name, at most
const MARGIN = 28;
const MOST_LINES = 12;
const STEPS = [1, 2, 5, 10, 20, 50, 100];
const PAST_MS = 5000; // feet that were not seen for so long are somewhere else

export async function mapView({ isCurrent }) {
  const first = await api.cameras();
  const state = first.cameras.length ? await api.cameraMap() : { floors: [], without_ground: [] };
  const panels = new Map();
  const place = h("div.maps");
  const without = state.without_ground.map(cameraName);
  const view = titled(
    text.map.title,
    [text.map.lead, " ", h("a", { href: "assets/responsible-use.html#live" }, text.live.responsible)],
    h("p.row", h("a.button", { href: link("live") }, icon("live"), text.views.live), h("a.button", { href: link("timeline") }, icon("clock"), text.views.timeline)),
    state.floors.length ? place : [empty("map", text.map.none, text.map.noneHint), h("pre.map-example", { tabIndex: 0 }, text.map.example)],
    state.floors.length && without.length ? h("p.hint", text.map.without(without)) : null,
  );
  const show = ({ floors }) => {
    for (const floor of floors) {
      if (!panels.has(floor.name)) {
        panels.set(floor.name, panel(floor.name));
        place.append(panels.get(floor.name).element);
      }
      panels.get(floor.name).show(floor);
    }
  };
  if (state.floors.length) {
    requestAnimationFrame(() => show(state)); // once it is known how wide it is
    keepAsking(isCurrent, api.cameraMap, show);
  }
  return view;
}

/** One floor: { element, show(floor) }. */
function panel(name) {
  const label = text.map.floor(name);
  const svg = draw("svg", { role: "img", class: "floor-map" });
  const list = h("ul.live-people", { "aria-label": text.map.who(label) });
  const element = h("section.card.live-camera", { "aria-label": label }, h("h2", label), svg, list);
  const colours = new Map();
  const known = { bounds: null, people: "" };
  // Somebody keeps their colour as long as the map is looked at.
  const colourOf = (person) => {
    const key = person.identity ?? person.walk;
    if (!colours.has(key)) colours.set(key, colours.size % COLOURS);
    return colours.get(key);
  };

  function show({ cameras, people }) {
    const places = [...cameras.flatMap(({ sees }) => sees), ...people.flatMap(({ way }) => way)];
    known.bounds = grown(known.bounds, places); // never smaller: the map stands still
    const scale = scaleOf(known.bounds, svg.clientWidth || WIDTH); // words are as large on a phone
    svg.setAttribute("viewBox", `0 0 ${scale.width} ${scale.height}`);
    svg.setAttribute("aria-label", text.map.alt(label, people.length));
    svg.replaceChildren(...grid(scale), ...cameras.flatMap((camera) => area(camera, scale)), ...people.map((person) => trace(person, colourOf(person), scale)));
    const words = JSON.stringify(people.map((person) => ({ ...person, way: null, time: null })));
    if (words === known.people && list.childElementCount) return;
    known.people = words;
    keepFocus(list, () => fill(list, people.length ? people.map((person) => rowWith(person, colourOf(person))) : h("li.hint", text.map.nobody)));
  }
  return { element, show };
}

function rowWith(person, colour) {
  const row = rowOf(person);
  row.prepend(h("span.swatch", { dataset: { colour } }));
  row.append(h("span.hint", text.map.seenBy(person.cameras.map(cameraName))));
  return row;
}

function grown(bounds, places) {
  const xs = places.map(({ x }) => x);
  const ys = places.map(({ y }) => y);
  const now = bounds ?? { left: 0, right: 1, bottom: 0, top: 1 };
  if (!places.length) return now;
  const [left, right, bottom, top] = [Math.floor(Math.min(...xs)), Math.ceil(Math.max(...xs)), Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
  return bounds ? { left: Math.min(left, now.left), right: Math.max(right, now.right), bottom: Math.min(bottom, now.bottom), top: Math.max(top, now.top) } : { left, right, bottom, top };
}

/** Metres to the drawing's units; the floor's second axis leads up. */
function scaleOf({ left, right, bottom, top }, width) {
  const wide = Math.max(right - left, 1);
  const tall = Math.max(top - bottom, 1);
  const metre = Math.min((width - 2 * MARGIN) / wide, Math.max(TALLEST * window.innerHeight, 240) / tall);
  const beside = (width - wide * metre) / 2;
  const step = STEPS.find((size) => Math.max(wide, tall) / size <= MOST_LINES && size * metre >= MARGIN) ?? 1000;
  const lines = (from, to) => Array.from({ length: Math.floor(to / step) - Math.ceil(from / step) + 1 }, (_, index) => (Math.ceil(from / step) + index) * step);
  return {
    width,
    height: Math.round(tall * metre + 2 * MARGIN),
    columns: lines(left, right),
    rows: lines(bottom, top),
    x: (metres) => beside + (metres - left) * metre,
    y: (metres) => MARGIN + (top - metres) * metre,
  };
}

function grid({ width, height, columns, rows, x, y }) {
  return [
    ...columns.flatMap((at) => [draw("line", { class: "map-grid", x1: x(at), x2: x(at), y1: MARGIN, y2: height - MARGIN }), draw("text", { class: "map-metres", x: x(at), y: height - 8, "text-anchor": "middle" }, `${at}`)]),
    ...rows.flatMap((at) => [draw("line", { class: "map-grid", x1: MARGIN, x2: width - MARGIN, y1: y(at), y2: y(at) }), draw("text", { class: "map-metres", x: MARGIN - 5, y: y(at) + 4, "text-anchor": "end" }, `${at}`)]),
  ];
}

function area({ name, sees }, { x, y }) {
  if (!sees.length) return [];
  const middle = { x: sees.reduce((sum, place) => sum + place.x, 0) / sees.length, y: sees.reduce((sum, place) => sum + place.y, 0) / sees.length };
  return [
    draw("polygon", { class: "map-area", points: sees.map((place) => `${x(place.x)},${y(place.y)}`).join(" ") }),
    draw("text", { class: "map-camera", x: x(middle.x), y: y(middle.y), "text-anchor": "middle" }, cameraName(name)),
  ];
}

function trace(person, colour, { width, x, y }) {
  const who = whoIs(person);
  const last = person.way.at(-1);
  const group = draw("g", { class: Date.now() - Date.parse(person.time) > PAST_MS ? "map-person is-past" : "map-person", "data-colour": colour });
  const toRight = x(last.x) > width / 2;
  const letters = Math.floor(((toRight ? x(last.x) : width - x(last.x)) - 16) / LETTER);
  group.append(
    draw("polyline", { points: person.way.map((place) => `${x(place.x)},${y(place.y)}`).join(" ") }),
    draw("circle", { cx: x(last.x), cy: y(last.y), r: 9 }),
    draw("text", { x: x(last.x) + (toRight ? -14 : 14), y: y(last.y) + 5, "text-anchor": toRight ? "end" : "start" }, who.length > letters ? `${who.slice(0, letters - 1)}…` : who),
    draw("title", {}, who),
  );
  if (person.identity) {
    group.classList.add("is-known");
    group.addEventListener("click", () => go("person", person.identity));
  }
  return group;
}
