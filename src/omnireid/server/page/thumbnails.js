// Thumbnails of items, fetched with the token when they come into view, kept in memory only.

import { api } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { cameraName, personName, when } from "./format.js";
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

const AT_ONCE = 12;
const STAYS_MS = 60; // what is only scrolled past is not asked for
const loaders = new WeakMap();
const waiting = new WeakMap();
const queue = [];
let underWay = 0;

/** Some at a time; who has left the page meanwhile is not waited for. */
function loadNext() {
  while (underWay < AT_ONCE && queue.length) {
    const target = queue.shift();
    if (!target.isConnected) continue;
    underWay += 1;
    loaders.get(target)().finally(() => {
      underWay -= 1;
      loadNext();
    });
  }
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      clearTimeout(waiting.get(target));
      if (!isIntersecting) continue;
      waiting.set(target, setTimeout(() => {
        seen.unobserve(target);
        queue.push(target);
        loadNext();
      }, STAYS_MS));
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

/**
 * A frame that fills itself when it comes into view; `size` is a class of parts.css. `load()` gives the picture's
 * properties, such as `src`; null where there is no picture.
 */
export function pictureFrame(size, load, words) {
  const frame = h(`span.thumb.${size}`);
  const blank = () => fill(frame, icon("person"), h("span.sr-only", text.item.noThumbnail));
  const show = async () => {
    try {
      const shown = await load();
      // Of what is gone the picture may be gone from memory too.
      if (frame.isConnected) fill(frame, h("img", { alt: words, ...shown }));
    } catch {
      blank();
    }
  };
  if (load) whenSeen(frame, show);
  else blank();
  return frame;
}

/** An item's thumbnail in its frame. */
export const thumbnail = (item, size = "middle", words = describe(item)) =>
  pictureFrame(size, item.has_thumbnail ? async () => ({ src: await thumbnailUrl(item.id), draggable: false }) : null, words);

/** The latest picture of somebody whom the API has described. */
export const pictureOf = (person, size = "middle") =>
  thumbnail({ id: person.picture, has_thumbnail: Boolean(person.picture) }, size, text.person.latest(personName(person)));

/** The latest picture of a person. */
export function personThumbnail(id, size = "middle") {
  const frame = h(`span.thumb.${size}`, icon("person"));
  whenSeen(frame, async () => {
    try {
      const { items } = await api.items({ identities: id, limit: 1 });
      if (items.length) frame.replaceWith(thumbnail(items[0], size));
    } catch {
      // The silhouette stays; the view itself says what is wrong.
    }
  });
  return frame;
}
