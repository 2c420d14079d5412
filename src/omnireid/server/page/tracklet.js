// Several pictures of one person: each can be taken away, and has a box of its own where more people are in it.

import { askBox } from "./boxdialog.js";
import { h, icon } from "./dom.js";
import { regionImage } from "./subject.js";
import { text } from "./text.js";

/** The pictures side by side; `onchange(pictures)` when one was taken away or has another box. */
export function trackletPictures(pictures, onchange) {
  return [
    h("p.strong", {}, text.subject.onePerson(pictures.length)),
    h("ul.tracklet", {}, pictures.map((picture) => h("li.tile", {}, tile(picture, pictures, onchange)))),
    h("p.hint", {}, text.subject.onePersonHint),
  ];
}

function tile(picture, pictures, onchange) {
  const { name, region } = picture;
  const edit = async () => {
    const before = JSON.stringify(region);
    await askBox(picture);
    if (JSON.stringify(picture.region) !== before) onchange(pictures);
  };
  return [
    h("span.thumb.middle", {}, regionImage(picture)),
    h("span.tile-line.hint", { title: name }, name),
    h(
      "div.tile-tools",
      {},
      h("button.icon-button", { type: "button", title: text.subject.boxOf(name), "aria-label": text.subject.boxOf(name), "aria-pressed": String(Boolean(region)), onclick: edit }, icon("box")),
      h("button.icon-button", { type: "button", title: text.subject.remove(name), "aria-label": text.subject.remove(name), onclick: () => onchange(pictures.filter((one) => one !== picture)) }, icon("close")),
    ),
  ];
}
