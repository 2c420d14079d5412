// Choosing among what is shown, one by one, by ranges or all of it, with a bar of what can be done with the chosen.

import { action, h, iconButton, keepFocus } from "./dom.js";
import { text } from "./text.js";

/**
 * `order()`: all that could be chosen, in the order in which they are shown; each has an `id`. `count(number)`: how many
 * are chosen, in words; `actions(chosen)`: what the bar holds. `canAll`: whether the bar offers all that are shown.
 */
export class Selection {
  constructor({ order = () => [], count, actions, canAll = false }) {
    this.order = order;
    this.count = count;
    this.actions = actions;
    this.canAll = canAll;
    this.chosen = new Map(); // by id, in the order they were chosen
    this.boxes = new Map();
    this.last = null;
    this.said = h("span.grow.strong", { role: "status" });
    this.bar = h("div.selection-bar", { role: "region", "aria-label": count(0), hidden: true }, this.said);
  }

  /** A box for the corner of a tile. With Shift everything from the last one on is chosen, or let go. */
  checkbox(entry, words, tag = "input.pick") {
    let isRange = false;
    const box = h(tag, {
      type: "checkbox",
      tabIndex: this.canAll ? -1 : 0, // among very many: X chooses the tile that has the focus
      checked: this.chosen.has(entry.id),
      "aria-label": words,
      onclick: (event) => { isRange = event.shiftKey; },
      onchange: () => {
        this.set(isRange ? this.from(entry) : [entry], box.checked);
        this.last = entry.id;
      },
    });
    this.boxes.set(entry.id, box);
    return box;
  }

  from(entry) {
    const order = this.order();
    const [a, b] = [this.last, entry.id].map((id) => order.findIndex((other) => other.id === id));
    return a < 0 ? [entry] : order.slice(Math.min(a, b), Math.max(a, b) + 1);
  }

  set(entries, isOn) {
    for (const entry of entries) {
      if (isOn) this.chosen.set(entry.id, entry);
      else this.chosen.delete(entry.id);
      const box = this.boxes.get(entry.id);
      if (box) box.checked = isOn;
    }
    this.show();
  }

  clear() {
    const hadFocus = this.bar.contains(document.activeElement);
    this.set([...this.chosen.values()], false);
    const box = this.boxes.get(this.last);
    if (hadFocus) (box?.closest(".tile")?.querySelector(".bare") ?? box)?.focus();
  }

  show() {
    const chosen = [...this.chosen.values()];
    const words = this.count(chosen.length);
    const all = this.canAll ? this.order() : [];
    this.bar.hidden = chosen.length === 0;
    this.bar.setAttribute("aria-label", words);
    const tools = [
      all.length > chosen.length ? action(".quiet", "tick", text.grid.chooseAll(all.length), () => this.set(all, true)) : null,
      this.actions(chosen),
      iconButton("close", text.grid.chooseNone, () => this.clear()),
    ];
    this.said.textContent = words;
    keepFocus(this.bar, () => {
      while (this.said.nextSibling) this.said.nextSibling.remove(); // what was said stays, or it is said to nobody
      this.bar.append(...tools.flat(Infinity).filter(Boolean));
    });
  }
}
