// Chosen pictures, one by one, by ranges or all that are shown, with a bar of what can be done with them.

import { assign, forgetItems, splitOff } from "./changes.js";
import { api } from "./api.js";
import { picturesCaseButton } from "./cases.js";
import { fill, h, icon } from "./dom.js";
import { cameraName, when } from "./format.js";
import { refresh } from "./router.js";
import { searchWith } from "./search.js";
import { may } from "./session.js";
import { fromItem, readPicture, together } from "./subject.js";
import { text } from "./text.js";
import { complain } from "./toasts.js";

const MOST_TO_FIND = 20;

/**
 * `order()`: all items that could be chosen, in the order in which they are shown. `canAll`: whether the bar offers
 * all of these.
 */
export class Selection {
  constructor(order, { canAll = false } = {}) {
    this.items = new Map();
    this.boxes = new Map();
    this.order = order;
    this.canAll = canAll;
    this.last = null;
    this.bar = h("div.selection-bar", { role: "region", "aria-label": text.person.selected(0), hidden: true });
  }

  /** A box for the corner of a tile. With Shift everything from the one before is chosen, or let go. */
  checkbox(item) {
    let isRange = false;
    const box = h("input.pick", {
      type: "checkbox",
      tabIndex: this.canAll ? -1 : 0, // among very many: X chooses the picture that has the focus
      checked: this.items.has(item.id),
      "aria-label": text.person.select(cameraName(item.camera), when(item.time)),
      onclick: (event) => { isRange = event.shiftKey; },
      onchange: () => {
        this.set(isRange ? this.from(item) : [item], box.checked);
        this.last = item.id;
      },
    });
    this.boxes.set(item.id, box);
    return box;
  }

  from(item) {
    const order = this.order();
    const [a, b] = [this.last, item.id].map((id) => order.findIndex((one) => one.id === id));
    return a < 0 ? [item] : order.slice(Math.min(a, b), Math.max(a, b) + 1);
  }

  set(items, isOn) {
    for (const item of items) {
      if (isOn) this.items.set(item.id, item);
      else this.items.delete(item.id);
      const box = this.boxes.get(item.id);
      if (box) box.checked = isOn;
    }
    this.show();
  }

  addAll(items) {
    this.set(items, true);
  }

  clear() {
    this.set([...this.items.values()], false);
  }

  show() {
    const items = [...this.items.values()];
    const words = text.person.selected(items.length);
    this.bar.hidden = items.length === 0;
    this.bar.setAttribute("aria-label", words);
    const then = (run) => async () => (await run(items)) && refresh();
    const all = this.canAll ? this.order() : [];
    const action = (style, symbol, label, run, more = {}) => h(`button${style}`, { type: "button", onclick: run, ...more }, icon(symbol), label);
    const tooMany = items.length > MOST_TO_FIND;
    fill(
      this.bar,
      h("span.grow.strong", { role: "status" }, words),
      all.length > items.length ? action(".quiet", "tick", text.grid.selectAll(all.length), () => this.addAll(all)) : null,
      action("", "search", text.grid.find, () => find(items), tooMany ? { disabled: true, title: text.grid.findMost(MOST_TO_FIND) } : {}),
      may("write") ? [
        action("", "split", text.person.split, then((chosen) => splitOff(chosen))),
        action("", "move", text.person.move, then(assign)),
        picturesCaseButton(items),
        action(".danger-quiet", "forget", text.grid.forget, then(forgetItems)),
      ] : null,
      h("button.icon-button", { type: "button", "aria-label": text.person.clear, onclick: () => this.clear() }, icon("close")),
    );
  }
}

/** Search with one picture, or with several as those of one person. */
async function find(items) {
  try {
    if (items.length === 1) {
      searchWith(fromItem(items[0]));
      return;
    }
    const kept = items.filter((item) => item.has_thumbnail);
    const pictures = await Promise.all(kept.map(async (item) => readPicture(new File([await api.thumbnail(item.id)], `${cameraName(item.camera)} ${when(item.time)}`))));
    searchWith(together(pictures));
  } catch (error) {
    complain(error);
  }
}
