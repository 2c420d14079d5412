// A person's sightings by camera along one line of time: a lane each, bars with thumbnails.

import { arrowKeys, h } from "./dom.js";
import { cameraName, clock, day, days, span, zone } from "./format.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY];
const MOST_TICKS = 6;
const THUMB_APART = 7; // per cent of the line; closer ones would cover each other

/**
 * `cameras` as the API's timeline: a lane each. A sighting may also say `who` it is of, and `isOther` where it is not of
 * who is looked for. A lane may be a person's: `who` and `label` in place of the camera, which each sighting then says,
 * with its `colour`. `onchoose(sighting)` when a bar is chosen. Null where nothing has a time.
 */
export function timeline(cameras, onchoose) {
  const times = cameras.flatMap(({ sightings }) => sightings.flatMap(({ start, end }) => (start ? [Date.parse(start), Date.parse(end)] : [])));
  if (!times.length) return null;
  const axis = axisOf(Math.min(...times), Math.max(...times));
  const element = h(
    "div.timeline",
    cameras.filter(({ sightings }) => sightings.some(({ start }) => start)).map((camera) => lane(camera, axis, onchoose)),
    h("div.axis", { "aria-hidden": "true" }, axis.ticks.map((tick) => at(h("span.tick", axis.label(tick)), axis.share(tick)))),
    h("p.hint.axis-days", axis.days),
  );
  arrowKeys(element, ".sighting-bar");
  return element;
}

/** A little wider than what it shows, so that the first and the last sighting are not cut. */
function axisOf(first, last) {
  const margin = Math.max((last - first) * 0.04, 2 * MINUTE);
  const [from, to] = [first - margin, last + margin];
  const step = STEPS.find((size) => (to - from) / size <= MOST_TICKS) ?? STEPS.at(-1);
  const ticks = [];
  // Whole steps of the reader's clock, not of UTC.
  const isOneYear = new Date(from).getFullYear() === new Date(to).getFullYear(); // which stands below
  const offset = new Date(from).getTimezoneOffset() * MINUTE;
  for (let tick = Math.ceil((from - offset) / step) * step + offset; tick < to; tick += step) ticks.push(tick);
  return {
    ticks,
    days: `${days(first, last)}, ${zone(last)}`,
    share: (time) => (100 * (time - from)) / (to - from),
    label: (time) => {
      const date = new Date(time);
      return step >= DAY || date.getHours() + date.getMinutes() === 0 ? isOneYear ? day(date).replace(/ \d{4}$/, "") : day(date) : clock(date).slice(0, 5);
    },
  };
}

function at(element, share) {
  element.style.insetInlineStart = `${share}%`;
  return element;
}

function lane({ camera, who, label = cameraName(camera), sightings }, axis, onchoose) {
  let lastThumb = -Infinity;
  const bars = sightings
    .filter(({ start }) => start)
    .map((sighting) => {
      const share = axis.share(Date.parse(sighting.start));
      const hasThumb = share - lastThumb >= THUMB_APART;
      if (hasThumb) lastThumb = share;
      return bar({ camera, who, ...sighting }, axis, share, hasThumb, onchoose);
    });
  return h(
    "div.lane",
    { role: "group", "aria-label": who ?? cameraName(camera) },
    h("span.lane-name", label),
    h("div.track", axis.ticks.map((tick) => at(h("span.grid-line", { "aria-hidden": "true" }), axis.share(tick))), bars),
  );
}

function bar(sighting, axis, share, hasThumb, onchoose) {
  const { camera, who, isOther, colour } = sighting;
  const words = (who ? `${who}: ` : "") + text.person.sighting(cameraName(camera), span(sighting.start, sighting.end), sighting.items.length);
  const element = at(
    h(
      isOther ? "button.sighting-bar.is-other" : "button.sighting-bar",
      { type: "button", title: words, "aria-label": words, onclick: () => onchoose(sighting) },
      hasThumb ? thumbnail(sighting.items[0], "tiny") : null,
      h("span.bar-line", { dataset: colour === undefined ? undefined : { colour } }),
    ),
    share,
  );
  element.style.inlineSize = `${axis.share(Date.parse(sighting.end)) - share}%`;
  return element;
}
