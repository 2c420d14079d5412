// One picture of the gallery, large, with what can be done with it.

import { assign, forgetItems } from "./changes.js";
import { setSlots } from "./compare.js";
import { badge, likeness } from "./decisions.js";
import { ask } from "./dialogs.js";
import { h, icon } from "./dom.js";
import { cameraName, personName, when } from "./format.js";
import { go, link, refresh } from "./router.js";
import { searchWith } from "./search.js";
import { may } from "./session.js";
import { fromItem, regionImage } from "./subject.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

/** `candidate` and `query` (a subject) where it came out of a search. */
export async function showItem(item, { candidate, query } = {}) {
  const action = await ask(text.item.title, (close) => [
    h("div.item-view", {}, query ? h("figure", {}, beside(query), h("figcaption", {}, text.subject.yours)) : null, h("figure", {}, thumbnail(item, "huge"), query ? h("figcaption", {}, text.subject.fromGallery) : null), h("div.grow", {}, likenessOf(candidate), facts(item))),
    h("div.row.end", {}, actions(query).map(([name, symbol, words, style = ""]) =>
      h(`button${style}`, { type: "button", onclick: () => close(name) }, icon(symbol), words))),
  ], { wide: Boolean(query) });
  if (action === "search") searchWith(fromItem(item));
  if (action === "compare") {
    setSlots(query ? [query, fromItem(item)] : [fromItem(item)]);
    go("compare");
  }
  if (action === "assign" && (await assign([item]))) refresh();
  if (action === "forget" && (await forgetItems([item]))) refresh();
}

/** What was searched with, so that the two can be told apart by eye. */
function beside(query) {
  if (query.kind === "item") return thumbnail(query.item, "huge");
  return h("span.thumb.huge", {}, regionImage(query));
}

const likenessOf = (candidate) => (candidate ? h("div.item-likeness", {}, badge(candidate.decision), likeness(candidate)) : null);

function facts(item) {
  const person = item.identity
    ? h("a", { href: link("person", item.identity) }, personName({ id: item.identity, name: item.name }))
    : text.nobody;
  const rows = [
    [text.item.person, person],
    [text.item.camera, cameraName(item.camera)],
    [text.item.time, when(item.time)],
    [text.item.enrolled, when(item.enrolled)],
    [text.item.source, item.source],
    [text.item.tracklet, item.tracklet],
    ...Object.entries(item.attributes ?? {}).map(([name, value]) => [name, String(value)]),
    [text.item.id, h("code", {}, item.id)],
  ];
  return h("dl.facts", {}, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function actions(query) {
  const shown = [
    ["search", "search", text.item.searchWith],
    ["compare", "compare", query ? text.item.compareQuery : text.item.compare],
  ];
  if (may("write")) shown.push(["assign", "move", text.item.assign], ["forget", "forget", text.item.forget, ".danger-quiet"]);
  return shown;
}
