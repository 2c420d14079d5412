// Thumbnails of items, fetched with the token when they come into view, kept in memory only.

import { api } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { cameraName, when } from "./format.js";
import { text } from "./text.js";

const MOST = 600;
const kept = new Map();

function thumbnailUrl(id) {
  const url = kept.get(id) ?? api.thumbnail(id).then((blob) => URL.createObjectURL(blob));
  kept.delete(id); // to the end: the least used goes first
  kept.set(id, url);
  url.catch(() => kept.delete(id));
  if (kept.size > MOST) drop(kept.keys().next().value);
  return url;
}

function drop(id) {
  kept.get(id)?.then(URL.revokeObjectURL, () => {});
  kept.delete(id);
}

/** Leave nothing of a forgotten item in memory. */
export const dropThumbnails = (ids) => ids.forEach(drop);
export const dropAllThumbnails = () => dropThumbnails([...kept.keys()]);

const loaders = new WeakMap();
const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      loaders.get(target)();
    }
  },
  { rootMargin: "200px" },
);

/** Call `load` once, when the element comes into view. */
function whenSeen(element, load) {
  loaders.set(element, load);
  seen.observe(element);
}

/** Load what was not in view yet too, as paper shows everything. */
export async function loadAll(place) {
  const frames = [...place.querySelectorAll(".thumb")].filter((frame) => !frame.childElementCount && loaders.has(frame));
  await Promise.all(frames.map((frame) => {
    seen.unobserve(frame);
    return loaders.get(frame)();
  }));
  await Promise.all([...place.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
}

const describe = (item) => text.item.alt(cameraName(item.camera), when(item.time));

/** A frame that fills itself with the item's thumbnail; `size` is a class of parts.css. */
export function thumbnail(item, size = "middle") {
  const frame = h(`span.thumb.${size}`);
  const blank = () => fill(frame, icon("person"), h("span.sr-only", {}, text.item.noThumbnail));
  if (!item.has_thumbnail) {
    blank();
    return frame;
  }
  whenSeen(frame, async () => {
    try {
      fill(frame, h("img", { src: await thumbnailUrl(item.id), alt: describe(item), draggable: false }));
    } catch {
      blank();
    }
  });
  return frame;
}

/** The latest picture of a person. */
export function personThumbnail(id, size = "middle") {
  const frame = h(`span.thumb.${size}`, {}, icon("person"));
  whenSeen(frame, async () => {
    try {
      const { items } = await api.items({ identity: id, limit: 1 });
      if (items.length) frame.replaceWith(thumbnail(items[0], size));
    } catch {
      // The silhouette stays; the view itself says what is wrong.
    }
  });
  return frame;
}
