// The box of one picture among several, in a dialog of its own.

import { boxEditor } from "./box.js";
import { ask } from "./dialogs.js";
import { fill, h, icon } from "./dom.js";
import { text } from "./text.js";

/** Draw, change or take away the region of a picture (subject.js); resolves when the dialog is closed. */
export function askBox(picture) {
  return ask(text.subject.box, (close) => {
    const switcher = h("button", { type: "button" });
    const label = (region) => fill(switcher, icon(region ? "close" : "box"), region ? text.subject.whole : text.subject.draw);
    const editor = boxEditor(picture, label);
    switcher.onclick = () => (picture.region ? editor.remove() : editor.start());
    return [
      editor.element,
      h("p.hint", {}, text.subject.drawHint),
      h("div.row.end", {}, switcher, h("button.primary", { type: "button", onclick: () => close(true) }, text.save)),
    ];
  });
}
