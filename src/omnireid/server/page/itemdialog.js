// One picture of the gallery, large, with what can be done with it. Arrow keys go on to the next one.

import { addPicturesToCase } from "./cases.js";
import { assign, forgetItems, samePerson } from "./changes.js";
import { setSlots } from "./compare.js";
import { copyable } from "./copy.js";
import { badge, likeness } from "./decisions.js";
import { ask } from "./dialogs.js";
import { action, facts, fill, h, icon, iconButton } from "./dom.js";
import { enrolAs } from "./enrol.js";
import { attributeWords, cameraName, percent, personName, when } from "./format.js";
import { go, link, refresh } from "./router.js";
import { onlyWith, searchWith } from "./searchstate.js";
import { may } from "./session.js";
import { faceOf, fromItem, picturesOf, regionImage } from "./subject.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";
import { nearby } from "./where.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * `shown`: a candidate, or { item } alone; `all`: those it stands among, in their order. `query`: what was searched
 * with (subject.js), where it came out of a search.
 */
export async function showItem(shown, { query = undefined, all = [] } = {}) {
  const order = all.map((one) => one.item.id);
  const body = h("div.item-dialog");
  let leave = (_run) => {};

  function step(by) {
    const next = all[order.indexOf(shown.item.id) + by];
    if (!next) return;
    shown = next;
    show();
  }

  function show() {
    const hadFocus = /** @type {?HTMLElement} */ (document.activeElement)?.dataset.step;
    const place = order.indexOf(shown.item.id);
    fill(
      body,
      order.length > 1 && place >= 0 ? steps(place, order.length, step) : null,
      h("div.item-view", query ? h("figure", beside(query), h("figcaption", text.subject.yours)) : null, h("figure", thumbnail(shown.item, "huge"), query ? h("figcaption", text.subject.fromGallery) : null), h("div.grow", likenessOf(shown), factsOf(shown.item))),
      h("div.row.end", actions(shown.item, query).map(({ run, symbol, words, style = "" }) => action(style, symbol, words, () => leave(run)))),
    );
    const again = body.querySelector(`[data-step="${hadFocus}"]:not(:disabled)`) ?? body.querySelector("[data-step]:not(:disabled)");
    if (hadFocus) again?.focus();
  }

  const run = await ask(
    text.item.title,
    (close) => {
      leave = close;
      show();
      return body;
    },
    { wide: Boolean(query), onkeydown: (event) => STEPS[event.key] && !event.altKey && !event.ctrlKey && !event.metaKey && step(STEPS[event.key]) },
  );
  await run?.();
}

const steps = (place, count, step) =>
  h(
    "div.row.steps",
    iconButton("back", text.item.previous, () => step(-1), { disabled: place === 0, dataset: { step: "-1" } }),
    h("span.hint", { role: "status" }, text.item.place(place + 1, count)),
    iconButton("forth", text.item.next, () => step(1), { disabled: place === count - 1, dataset: { step: "1" } }),
  );

/** What was searched with, so that the two can be told apart by eye. */
function beside(query) {
  const one = faceOf(query);
  return one.kind === "item" ? thumbnail(one.item, "huge") : h("span.thumb.huge", regionImage(one));
}

const likenessOf = (shown) => (shown.score === undefined ? null : h("div.item-likeness", badge(shown.decision), likeness(shown)));

function factsOf(item) {
  const rows = [
    ...Object.entries(text.item.fields).map(([name, words]) => [words, shownAs(name, item)]),
    ...Object.entries(item.attributes ?? {}).map(([name, value]) => [name, attributeLink(name, value)]),
    [text.item.id, copyable(item.id)],
  ];
  return facts(rows.filter(([, value]) => value));
}

/** A field's value to look at; empty where there is nothing to say. */
function shownAs(name, item) {
  const value = item[name];
  if (name === "identity") return value ? h("a", { href: link("person", value) }, personName({ id: value, name: item.name })) : text.nobody;
  if (name === "camera") return cameraName(value);
  if (name === "time" || isTime(value)) return when(value);
  // A share of one is what nobody has said anything else of.
  return typeof value === "number" ? (value < 1 ? percent(value) : "") : value;
}

const isTime = (value) => typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value);

/** The value, and a way to search for all that have it. */
function attributeLink(name, value) {
  const words = text.item.onlyWith(attributeWords([name, value]));
  return h("button.quiet.inline", { type: "button", title: words, "aria-label": words, onclick: () => onlyWith(name, value) }, String(value), icon("filter"));
}

function actions(item, query) {
  const then = (work) => async () => (await work()) && refresh();
  const shown = [];
  const same = may("write") ? samePerson(query, item, [item]) : null;
  if (same) shown.push({ symbol: "tick", words: same.words, run: then(same.run), style: ".primary" });
  if (may("write") && item.identity && picturesOf(query).length) {
    const person = { id: item.identity, name: item.name };
    shown.push({ symbol: "enrol", words: text.same.enrol(personName(person)), style: ".primary", run: () => enrolAs(query, person) });
  }
  shown.push(
    { symbol: "search", words: text.item.searchWith, run: () => searchWith(fromItem(item)) },
    { symbol: "compare", words: query ? text.item.compareQuery : text.item.compare, run: () => { setSlots(query ? [faceOf(query), fromItem(item)] : [fromItem(item)]); go("compare"); } },
  );
  const around = nearby(item);
  if (around) shown.push({ symbol: "clock", words: text.where.nearby, run: () => go("pictures", "", around) });
  if (may("write")) {
    shown.push(
      { symbol: "cases", words: text.cases.add, run: () => addPicturesToCase([item]) },
      { symbol: "move", words: text.item.assign, run: then(() => assign([item])) },
      { symbol: "forget", words: text.item.forget, style: ".danger-quiet", run: then(() => forgetItems([item])) },
    );
  }
  return shown;
}
