// A place for one person: pictures that are dropped, pasted or chosen from disk, or one taken from the gallery.

import { boxEditor } from "./box.js";
import { askBox } from "./boxdialog.js";
import { chooseItem } from "./dialogs.js";
import { action, fileInput, fill, h, icon, iconButton, takesDrops } from "./dom.js";
import { cameraName, when, whenShort } from "./format.js";
import { complaint } from "./states.js";
import { checkTogether, fromItem, fromItems, PictureError, picturesOf, readPicture, regionImage, together } from "./subject.js";
import { text } from "./text.js";
import { thumbnail } from "./thumbnails.js";

/**
 * { element, take(files) }. `subject` is what lies in it (subject.js) or null; `onchange(subject)` is called when
 * another picture, or another box, lies in it. `takesMany`: several pictures are one person's. `onseveral(picture,
 * regions)`, where given: several people of one picture were chosen in its large view.
 */
export function pictureSlot(label, subject, onchange, { takesMany = false, onseveral = undefined } = {}) {
  const [input, moreInput] = [false, true].map((isMore) => fileInput((files) => take(files, { isMore }), { multiple: takesMany }));
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

  const more = (words) => (takesMany ? action("", "pictures", words, () => moreInput.click()) : null);
  const fromGallery = () => action("", "gallery", text.subject.fromGalleryShort, pick);
  const clearAll = () => action("", "close", text.subject.clearAll, () => set(null));
  const others = () => [action("", "upload", text.subject.other, () => input.click()), fromGallery()];

  function show(problems = []) {
    const content = { file, item, items, tracklet }[subject?.kind] ?? blank;
    fill(element, content(subject), problems.map(complaint), input, takesMany ? moreInput : null);
  }

  const blank = () =>
    h(
      "div.blank",
      icon("person"),
      h("p.state-title", text.subject.drop),
      h("p.hint", text.subject.dropHint, takesMany ? [" ", text.subject.dropMany] : null),
      h("div.row.centred", action(".primary", "upload", text.subject.choose, () => input.click()), action("", "gallery", text.subject.pick, pick)),
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
    const large = action("", "fit", text.frame.open, enlarge, { dataset: { large: "" } });
    return [
      editor.element,
      h("p.hint", `${current.name} · ${text.subject.size(current.width, current.height)}. ${text.subject.drawHint}`),
      h("div.row", drawn, large, others(), more(text.subject.addMoreOfOne)),
    ];
  }

  /** Several pictures of one person: each can be taken away. */
  const onePerson = (all, tile, ...buttons) => [
    h("p.strong", text.subject.onePerson(all.length)),
    h("ul.tracklet", all.map((one) => h("li.tile", tile(one, all.filter((other) => other !== one))))),
    h("p.hint", text.subject.onePersonHint),
    h("div.row", buttons),
  ];

  const tracklet = ({ pictures }) => onePerson(pictures, (picture, others) => {
    const { name, region } = picture;
    const edit = async () => {
      await askBox(picture);
      if (JSON.stringify(picture.region) !== JSON.stringify(region)) set(together(pictures));
    };
    return [
      h("span.thumb.middle", regionImage(picture)),
      h("span.tile-line.hint", { title: name }, name),
      h(
        "div.tile-tools",
        iconButton("box", text.subject.boxOf(name), edit, { "aria-pressed": String(Boolean(region)) }),
        iconButton("close", text.subject.remove(name), () => set(together(others))),
      ),
    ];
  }, more(text.subject.addMore), clearAll(), fromGallery());

  const item = ({ item: shown }) => [
    h(
      "div.slot-item",
      thumbnail(shown, "big"),
      h("div", h("p.overline", text.subject.fromGallery), h("p.strong", cameraName(shown.camera)), h("p.hint", when(shown.time)), shown.name ? h("p", shown.name) : null),
    ),
    h("div.row", others()),
  ];

  const items = ({ items: shown }) => onePerson(shown, (one, left) => [
    thumbnail(one),
    h("span.tile-line", cameraName(one.camera)),
    h("span.tile-line.hint", whenShort(one.time)),
    h("div.tile-tools", iconButton("close", text.subject.takeOut(cameraName(one.camera), when(one.time)), () => set(fromItems(left)))),
  ], clearAll(), others());

  takesDrops(element, take);
  element.addEventListener("dragover", () => element.classList.add("is-over"));
  for (const name of ["dragleave", "drop"]) element.addEventListener(name, () => element.classList.remove("is-over"));
  show();
  return { element, take };
}
