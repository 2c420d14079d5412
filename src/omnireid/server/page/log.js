// The rows of a log, the latest first, a page at a time.

import { fill, focusOn, h } from "./dom.js";
import { isNarrowed, toAddress } from "./logfilter.js";
import { go, remember } from "./router.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";

/**
 * { list, foot, begin(), choose() }: `begin` shows the log anew; `choose` does, too, and says in the address what is
 * chosen. `name`: the view; `words`: its part of text.js; `chosen`: what the log is limited to (logfilter.js).
 * `load(after)` gives a page { rows, next }: elements, and what the next page comes after, null where none does;
 * `said(count, pages)`: how many are shown, in words.
 */
export function logRows(name, words, chosen, load, said) {
  const list = h("ol.log", { "aria-label": words.title });
  const foot = h("div.row.centred", { role: "status" });
  let latest = 0;
  let pages = [];

  async function more(after) {
    latest += 1;
    const mine = latest;
    fill(foot, loading());
    try {
      const page = await load(after);
      if (mine !== latest) return; // another filter was chosen meanwhile
      pages = after ? [...pages, page] : [page];
      list.append(...page.rows);
      if (after) focusOn(page.rows[0]);
      show(page);
    } catch (error) {
      if (mine === latest) fill(foot, failed(error, () => more(after)));
    }
  }

  function show({ next }) {
    const count = list.childElementCount;
    const further = next === null ? null : h("button", { type: "button", onclick: () => more(next) }, text.more);
    const clear = isNarrowed(chosen) ? [h("button", { type: "button", onclick: () => go(name) }, text.search.clear)] : [];
    if (count || further) fill(foot, further, h("span.hint", said(count, pages)));
    else fill(foot, empty(name, isNarrowed(chosen) ? words.none : words.empty, "", ...clear));
  }

  const begin = () => {
    fill(list);
    return more();
  };
  const choose = () => {
    remember(name, toAddress(chosen));
    return begin();
  };
  return { list, foot, begin, choose };
}
