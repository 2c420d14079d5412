// What an answer is an answer to: the pictures, boxes and conditions as they were when it was asked. It never changes,
// whatever is chosen in the form afterwards.

import { asQuery, asWords } from "./conditions.js";
import { h } from "./dom.js";
import { when } from "./format.js";
import { galleryName } from "./session.js";
import { copyOf, countOf, faceOf, keyOf, picturesOf, regionImage } from "./subject.js";
import { pictures, text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

/** The same text for what would be asked in the same way. */
export const keyOfAsked = (subject, chosen) => JSON.stringify([keyOf(subject), asQuery(chosen)]);

export function ask(subject, chosen) {
  return {
    subject: copyOf(subject),
    chosen: structuredClone(chosen),
    words: asWords(chosen),
    key: keyOfAsked(subject, chosen),
    gallery: galleryName(),
    time: new Date().toISOString(),
  };
}

/** What was searched with, as a small picture. */
export function face({ subject }, size = "small") {
  const one = faceOf(subject);
  return one.kind === "item" ? thumbnail(one.item, size) : h(`span.thumb.${size}`, regionImage(one));
}

/** What the pictures are called, or how many there are. */
function nameOf(subject) {
  if (countOf(subject) > 1) return pictures(countOf(subject));
  return picturesOf(subject)[0]?.name ?? text.subject.fromGallery;
}

/** The question in words; the lines that only paper needs are hidden on the screen. */
export function asked(question, { model }) {
  const { subject, words, gallery, time } = question;
  return h(
    "figure.asked",
    face(question, "asked-face"),
    h(
      "figcaption",
      h("span.strong", text.subject.yours),
      h("span", nameOf(subject)),
      h("span.paper", when(time)),
      h("span.paper", `${text.gallery}: ${gallery}`),
      h("span.paper", `${text.state.model}: ${model.name} ${model.sha256.slice(0, 12)}`),
      h("span.paper", `${text.search.filters}: ${words.join(" · ") || text.answer.noFilters}`),
    ),
  );
}
