// A place for one person: pictures that are dropped, pasted or chosen from disk, or one taken from the gallery.

import { boxEditor } from "./box.js";
import { askBox } from "./boxdialog.js";
import { chooseItem } from "./dialogs.js";
import { fill, h, icon } from "./dom.js";
import { cameraName, when, whenShort } from "./format.js";
import { complaint } from "./states.js";
import { checkTogether, filesOf, fromItem, fromItems, PictureError, picturesOf, readPicture, together } from "./subject.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";
import { trackletPictures } from "./tracklet.js";

/**
 * { element, take(files) }. `subject` is what lies in it (subject.js) or null; `onchange(subject)` is called when
 * another picture, or another box, lies in it. `takesMany`: several pictures are one person's. `onseveral(picture,
 * regions)`, where given: several people of one picture were chosen in its large view.
 */
export function pictureSlot(label, subject, onchange, { takesMany = false, onseveral = undefined } = {}) {
  const fileInput = (isMore) => {
    const input = h("input", { type: "file", accept: "image/*", multiple: takesMany, hidden: true, onchange: () => take(filesOf(input), { isMore }) });
    return input;
  };
  const [input, moreInput] = [fileInput(false), fileInput(true)];
  const element = h("div.slot", { role: "group", "aria-label": label });

  /** `isMore`: beside what lies here, as to several pictures another is added. */
  async function take(files, { isMore = subject?.kind === "tracklet" } = {}) {
    const pictures = isMore ? [...picturesOf(subject)] : [];
    const problems = [];
    const attempt = async (run) => {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof PictureError)) throw error;
        problems.push(error.message);
        return null;
      }
    };
    for (const file of takesMany ? files : files.slice(0, 1)) {
      const picture = await attempt(() => readPicture(file));
      if (picture && (await attempt(() => checkTogether([...pictures, picture]) ?? true))) pictures.push(picture);
    }
    input.value = moreInput.value = "";
    if (pictures.length > (isMore ? picturesOf(subject).length : 0)) set(together(pictures), problems);
    else show(problems);
  }

  async function pick() {
    const item = await chooseItem();
    if (item) set(fromItem(item));
  }

  function set(next, problems) {
    const hadFocus = element.contains(document.activeElement);
    subject = next;
    show(problems);
    onchange(subject);
    if (hadFocus) element.querySelector("button").focus();
  }

  const button = (symbol, words, onclick, style = "") => h(`button${style}`, { type: "button", onclick }, icon(symbol), words);
  const more = (words) => (takesMany ? button("pictures", words, () => moreInput.click()) : null);
  const others = () => [button("upload", text.subject.other, () => input.click()), button("gallery", text.subject.fromGalleryShort, pick)];

  function show(problems = []) {
    const content = { file, item, items, tracklet }[subject?.kind] ?? blank;
    fill(element, content(subject), problems.map(complaint), input, takesMany ? moreInput : null);
  }

  const blank = () =>
    h(
      "div.blank",
      {},
      icon("person"),
      h("p.state-title", {}, text.subject.drop),
      h("p.hint", {}, text.subject.dropHint, takesMany ? [" ", text.subject.dropMany] : null),
      h("div.row.centred", {}, button("upload", text.subject.choose, () => input.click(), ".primary"), button("gallery", text.subject.pick, pick)),
    );

  function file(current) {
    const drawn = h("button", { type: "button" });
    const label = () => fill(drawn, icon(current.region ? "close" : "box"), current.region ? text.subject.whole : text.subject.draw);
    let isReady = false;
    const editor = boxEditor(current, () => {
      label();
      if (isReady) onchange(current);
    });
    isReady = true;
    drawn.onclick = () => (current.region ? editor.remove() : editor.start());
    const enlarge = async () => {
      const before = JSON.stringify(current.region);
      const regions = await askBox(current, { mayBeSeveral: Boolean(onseveral) });
      show();
      if (JSON.stringify(current.region) !== before) onchange(current);
      if (regions) onseveral(current, regions);
      else element.querySelector("[data-large]")?.focus();
    };
    const large = h("button", { type: "button", dataset: { large: "" }, onclick: enlarge }, icon("fit"), text.frame.open);
    return [
      editor.element,
      h("p.hint", {}, `${current.name} · ${text.subject.size(current.width, current.height)}. ${text.subject.drawHint}`),
      h("div.row", {}, drawn, large, others(), more(text.subject.addMoreOfOne)),
    ];
  }

  const tracklet = ({ pictures }) => [
    trackletPictures(pictures, (left) => set(together(left))),
    h("div.row", {}, more(text.subject.addMore), button("close", text.subject.clearAll, () => set(null)), button("gallery", text.subject.fromGalleryShort, pick)),
  ];

  const item = ({ item: shown }) => [
    h(
      "div.slot-item",
      {},
      thumbnail(shown, "big"),
      h("div", {}, h("p.overline", {}, text.subject.fromGallery), h("p.strong", {}, cameraName(shown.camera)), h("p.hint", {}, when(shown.time)), shown.name ? h("p", {}, shown.name) : null),
    ),
    h("div.row", {}, others()),
  ];

  const items = ({ items: shown }) => [
    h("p.strong", {}, text.subject.onePerson(shown.length)),
    h("ul.tracklet", {}, shown.map((one) => h(
      "li.tile",
      {},
      thumbnail(one),
      h("span.tile-line", {}, cameraName(one.camera)),
      h("span.tile-line.hint", {}, whenShort(one.time)),
      h("div.tile-tools", {}, h("button.icon-button", { type: "button", title: text.subject.takeOut(cameraName(one.camera), when(one.time)), "aria-label": text.subject.takeOut(cameraName(one.camera), when(one.time)), onclick: () => set(fromItems(shown.filter((other) => other !== one))) }, icon("close"))),
    ))),
    h("p.hint", {}, text.subject.onePersonHint),
    h("div.row", {}, button("close", text.subject.clearAll, () => set(null)), others()),
  ];

  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("is-over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("is-over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("is-over");
    take(filesOf(event.dataTransfer));
  });
  show();
  return { element, take };
}
