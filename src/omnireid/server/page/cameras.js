// The names of the gallery's cameras, for filters and suggestions.

import { api } from "./api.js";
import { fill, h, select } from "./dom.js";
import { text } from "./text.js";

/**
 * Fill `place` with what `build(state)` makes of the gallery's state, when it is known: counting a large gallery
 * takes a moment, and nothing else on the view needs to wait for it.
 */
export async function whenStateIsKnown(place, build) {
  try {
    fill(place, build(await api.galleryState()));
  } catch {
    // The view goes on without; what the server has to say comes with the view's own request.
  }
}

/** A choice of one camera, or "" for all of them. */
export function cameraSelect(chosen, onchange) {
  const element = select([["", text.browse.anyCamera]], "", onchange);
  whenStateIsKnown(element, ({ cameras }) => {
    const options = [["", text.browse.anyCamera], ...cameras.filter(Boolean).map((name) => [name, name])];
    return options.map(([value, words]) => h("option", { value, selected: value === chosen }, words));
  });
  return element;
}
