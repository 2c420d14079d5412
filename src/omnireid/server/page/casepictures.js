// Pictures of a case: those that the server keeps, or those of a file; loaded when they come into view.

import { fill, h, icon } from "./dom.js";
import { text } from "./text.js";

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

/** A frame with a picture; `load()` gives a Blob. Without an `id` there is none. */
export function casePicture(load, id, words) {
  const frame = h("span.thumb.middle.whole");
  const blank = () => fill(frame, icon("person"), h("span.sr-only", {}, text.item.noThumbnail));
  if (!id) {
    blank();
    return frame;
  }
  loaders.set(frame, async () => {
    try {
      const url = URL.createObjectURL(await load(id));
      const image = h("img", { src: url, alt: words, onload: () => URL.revokeObjectURL(url) });
      fill(frame, image);
    } catch {
      blank();
    }
  });
  seen.observe(frame);
  return frame;
}

/** A Blob of a file's picture: { media, content } with its bytes as base64. */
export function fromFile({ media, content }) {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: media === "image/png" ? "image/png" : "image/jpeg" });
}
