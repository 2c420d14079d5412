// More of a person: a search with several of their pictures among those that nobody has been assigned to yet.

import { action } from "./dom.js";
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
  return kept.length ? action("", "search", text.where.more, () => searchWith(fromItems(kept), { isUnassigned: true })) : null;
}
