// Where and when: the last sighting of the most likely person, everything that was found along one line of time, and
// who else was there.

import { api } from "./api.js";
import { bestOf, groupName } from "./certainty.js";
import { fill, h, icon, select } from "./dom.js";
import { cameraName, toLocal, when } from "./format.js";
import { link } from "./router.js";
import { text } from "./text.js";
import { timeline } from "./timeline.js";

const NEARBY_MS = 5 * 60_000;
const TOGETHER_MS = 60_000; // pictures of one sighting

/** What *Pictures* is asked for to show who else one camera saw around a picture; null where it has no time. */
export function nearby({ camera, time }) {
  if (!time) return null;
  const [since, until] = [-NEARBY_MS, NEARBY_MS].map((by) => toLocal(new Date(Date.parse(time) + by)));
  return { ...(camera ? { camera } : {}), since, until };
}

/** Where and when the best person of an answer was seen last, of all their pictures and not only of those found. */
export function lastSeen(answer) {
  const best = bestOf(answer);
  if (!best || answer.decision === "new") return null;
  const line = h("p.last-seen");
  const say = (item) => {
    const around = nearby(item);
    fill(
      line,
      icon("clock"),
      h("span", text.where.last(best.identity ? groupName(best) : text.where.somebody, cameraName(item.camera), when(item.time))),
      around ? h("a", { href: link("pictures", "", around) }, text.where.nearby) : null,
    );
  };
  if (!best.identity) {
    say(best.candidates.map(({ item }) => item).reduce((last, item) => ((item.time ?? "") > (last.time ?? "") ? item : last)));
  } else {
    api.items({ identities: best.identity, limit: 1 }).then(({ items }) => items.length && say(items[0]), () => {});
  }
  return line;
}

/** [{ camera, sightings }] of groups, as the timeline takes them. */
function lanes(groups, best) {
  const cameras = new Map();
  for (const group of groups) {
    const timed = group.candidates.filter(({ item }) => item.time).sort((a, b) => Date.parse(a.item.time) - Date.parse(b.item.time));
    for (const candidate of timed) {
      const { camera, time, end_time: until } = candidate.item;
      const end = until ?? time;
      const sightings = cameras.get(camera) ?? [];
      cameras.set(camera, sightings);
      const last = sightings.at(-1);
      if (last?.group === group && Date.parse(time) - Date.parse(last.end) < TOGETHER_MS) {
        if (Date.parse(end) > Date.parse(last.end)) last.end = end;
        last.items.push(candidate.item);
      } else {
        sightings.push({ group, candidate, start: time, end, items: [candidate.item], who: groupName(group), isOther: group !== best });
      }
    }
  }
  return [...cameras].map(([camera, sightings]) => ({ camera, sightings: sightings.sort((a, b) => Date.parse(a.start) - Date.parse(b.start)) })).sort((a, b) => a.camera.localeCompare(b.camera));
}

/** What was found, by camera along one line of time; `open(candidate)` when a bar is chosen. Null without times. */
export function whereAndWhen(answer, open, isOpen) {
  const best = bestOf(answer);
  // What only looks like somebody and was assigned to nobody is no sighting of theirs.
  const own = best.identity ? { ...best, candidates: best.candidates.filter(({ item }) => item.identity) } : best;
  const place = h("div");
  const show = (who) => {
    const line = timeline(lanes(who === "best" ? [own] : answer.groups, who === "best" ? own : best), ({ candidate }) => open(candidate));
    fill(place, line ?? h("p.hint", text.where.noTimes));
  };
  if (!answer.groups.some(({ candidates }) => candidates.some(({ item }) => item.time))) return null;
  show("best");
  const choices = [["best", best.identity ? text.where.onlyBest(groupName(best)) : text.where.onlyFirst], ["all", text.where.everybody]];
  const choice = select(choices, "best", show);
  choice.setAttribute("aria-label", text.where.shown);
  return h(
    "details.card.where",
    { open: isOpen },
    h("summary", icon("clock"), h("h2", text.where.title)),
    h("div.row", answer.groups.length > 1 ? choice : null, h("span.hint", text.where.hint)),
    place,
  );
}

const latest = ({ candidates }) => Math.max(...candidates.map(({ item }) => (item.time ? Date.parse(item.time) : -Infinity)));

/** The groups and their candidates, the latest first; those without time last, in the order they had. */
export const byTime = (groups) =>
  groups
    .map((group) => ({ ...group, candidates: [...group.candidates].sort((a, b) => latest({ candidates: [b] }) - latest({ candidates: [a] }) || 0) }))
    .sort((a, b) => latest(b) - latest(a) || 0);
