// More of a person: a search with several of their pictures among those that nobody has been assigned to yet.

import { h, icon } from "./dom.js";
import { searchWith } from "./searchstate.js";
import { fromItems } from "./subject.js";
import { text } from "./text.js";

const MOST = 8; // together they say enough, and the address stays short

/** Those with a picture, `MOST` of them, spread over all: other cameras and days say more than neighbours. */
export function spread(items) {
  const kept = items.filter(({ has_thumbnail: has }) => has);
  return kept.length <= MOST ? kept : Array.from({ length: MOST }, (_, index) => kept[Math.floor((index * kept.length) / MOST)]);
}

/** A button that searches with these items; null where no picture of them was kept. */
export function moreButton(items) {
  const kept = spread(items);
  if (!kept.length) return null;
  return h("button", { type: "button", onclick: () => searchWith(fromItems(kept), { isUnassigned: true }) }, icon("search"), text.where.more);
}
