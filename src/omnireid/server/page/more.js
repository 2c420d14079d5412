// More of a person: a search with several of their pictures among those that nobody has been assigned to yet.

import { h, icon } from "./dom.js";
import { searchWith } from "./search.js";
import { fromItems } from "./subject.js";
import { text } from "./text.js";

const MOST = 8; // together they say enough, and the address stays short

/** A button that searches with these items; null where no picture of them was kept. */
export function moreButton(items) {
  const kept = items.filter(({ has_thumbnail: has }) => has);
  if (!kept.length) return null;
  // Spread over all of them: other cameras and days say more than neighbours.
  const chosen = kept.length <= MOST ? kept : Array.from({ length: MOST }, (_, index) => kept[Math.floor((index * kept.length) / MOST)]);
  return h("button", { type: "button", onclick: () => searchWith(fromItems(chosen), { isUnassigned: true }) }, icon("search"), text.where.more);
}
