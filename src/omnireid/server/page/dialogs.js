// Questions that need an answer before the page goes on. <dialog> keeps the focus inside and Escape closes it.

import { api } from "./api.js";
import { cameraSelect } from "./cameras.js";
import { arrowKeys, field, fill, focusOn, h, icon, iconButton, typedText, uniqueId } from "./dom.js";
import { cameraName, personName, whenShort } from "./format.js";
import { complaint, empty, failed, loadInto } from "./states.js";
import { cameras as cameraCount, pictures, text } from "./text.js";
import { personThumbnail, thumbnail } from "./thumbnails.js";

const PAGE = 24;

/**
 * Open a dialog and wait for what it was closed with; null where it was left.
 * `build(close)` returns its content; `close(value)` answers.
 */
export function ask(title, build, { wide = false, onkeydown = undefined } = {}) {
  return new Promise((resolve) => {
    let answer = null;
    const opener = /** @type {?HTMLElement} */ (document.activeElement);
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    const heading = h("h2", { id: uniqueId("dialog") }, title);
    const dialog = h(
      wide ? "dialog.wide" : "dialog",
      { "aria-labelledby": heading.id, onkeydown },
      h("div.dialog-head", heading, iconButton("close", text.close, () => dialog.close())),
      h("div.dialog-body", build(close)),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      opener?.focus();
      resolve(answer);
    });
    // A link inside leads to another view, where the question makes no sense.
    const leave = () => dialog.close();
    window.addEventListener("hashchange", leave);
    dialog.addEventListener("close", () => window.removeEventListener("hashchange", leave));
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[data-first]")?.focus();
  });
}

/** A form whose buttons stand at its end. `submit()` may throw what is wrong, which is said then (by `say`). */
export function form(content, { confirm, danger = false, isReady = () => true, submit, cancel, say = (error) => complaint(error.message) }) {
  const problem = h("div");
  const button = h(danger ? "button.danger" : "button.primary", { type: "submit" }, confirm);
  const check = () => {
    button.disabled = !isReady();
  };
  const element = h(
    "form",
    {
      oninput: check,
      onsubmit: async (event) => {
        event.preventDefault();
        if (!isReady()) return;
        button.disabled = true;
        fill(problem);
        try {
          await submit();
        } catch (error) {
          fill(problem, say(error));
        }
        check();
      },
    },
    content,
    problem,
    h("div.row.end", h("button", { type: "button", onclick: cancel }, text.cancel), button),
  );
  check();
  return element;
}

/** Ask with such a form; resolves to what `submit()` gives, or null where it was left. */
export const askForm = (title, content, { confirm, submit, ...how }) =>
  ask(title, (close) => form(content, { confirm, ...how, submit: async () => close(await submit()), cancel: () => close(null) }));

export const askConfirm = (title, words, confirm, { danger = false } = {}) =>
  askForm(title, words.map((line) => h("p", line)), { confirm, danger, submit: () => true });

/** One line of text; null where left. */
export function askText(title, label, { value = "", hint = "", confirm = text.save, isOptional = false } = {}) {
  const input = h("input", { type: "text", value, maxLength: 200, autocomplete: "off", dataset: { first: "" } });
  return askForm(title, field(label, input, hint), { confirm, isReady: () => isOptional || input.value.trim() !== "", submit: () => typedText(input) });
}

/** What is lost for good, and for a whole person its name typed. True where confirmed. */
export function askForget(title, lost, { type = "" } = {}) {
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: false, dataset: { first: "" } });
  const content = [
    h("p", text.forget.lost),
    h("ul.lost", lost.map((line) => h("li", line))),
    h("p.warning", icon("alert"), h("span", text.forget.final)),
    h("p.hint", text.forget.kept),
    type ? field(text.forget.type(type), input) : null,
  ];
  const isReady = () => !type || input.value.trim() === type.trim();
  return askForm(title, content, { confirm: text.forget.confirm, danger: true, isReady, submit: () => true });
}

/** A token that the server knows; `check(token)` throws what is wrong. */
export function askToken(check) {
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: false, dataset: { first: "" } });
  const submit = async () => {
    await check(input.value.trim());
    return true;
  };
  return askForm(text.token.title, [h("p", text.token.hint), field(text.token.label, input)], { confirm: text.token.use, isReady: () => input.value.trim() !== "", submit });
}

/**
 * A person of the gallery: { id, name }; with `allowNew` also { isNew: true, name }; null where left.
 */
export function choosePerson(title, { except = [], allowNew = false, hint = "" } = {}) {
  return ask(title, (close) => {
    const list = h("div.choices", { role: "group", "aria-label": title });
    const input = h("input", { type: "search", placeholder: text.choosePerson.placeholder, autocomplete: "off", dataset: { first: "" } });
    let timer = 0;
    const choice = (person) =>
      h(
        "button.choice",
        { type: "button", onclick: () => close({ id: person.id, name: person.name }) },
        personThumbnail(person.id, "small"),
        h("span.grow", h("strong", personName(person)), h("span.hint", `${pictures(person.items)}, ${cameraCount(person.cameras.length)}`)),
      );
    // Most people have no name, but an id that can be copied where they are shown.
    const byId = async (id) => {
      try {
        const person = await api.identity(id);
        return except.includes(person.id) ? [] : [choice(person)];
      } catch (error) {
        if (error.status !== 404) throw error;
        return [];
      }
    };
    const page = async (name, after) => {
      const { identities, next } = await api.identities({ text: name, limit: PAGE, after });
      return [...identities.filter(({ id }) => !except.includes(id)).map(choice), moreButton(next, () => page(name, next))].filter(Boolean);
    };
    const look = () =>
      loadInto(list, async () => {
        const name = typedText(input);
        let found = await page(name);
        if (!found.length && name) found = await byId(name);
        const fresh = allowNew
          ? h(
              "button.choice",
              { type: "button", onclick: () => close({ isNew: true, name }) },
              h("span.thumb.small", icon("enrol")),
              h("strong", name ? text.choosePerson.newNamed(name) : text.choosePerson.newPerson),
            )
          : null;
        return [fresh, found.length ? found : h("p.hint", text.choosePerson.none)];
      });
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(look, 200);
    });
    look();
    return [hint ? h("p", hint) : null, field(text.choosePerson.label, input), list];
  });
}

/** A button that puts what `load` gives in its own place; null where nothing follows. */
function moreButton(next, load) {
  if (!next) return null;
  const place = h("div.row.centred.whole-row");
  const show = async () => {
    button.disabled = true;
    try {
      const more = await load();
      place.replaceWith(...more);
      focusOn(more[0]);
    } catch (error) {
      fill(place, failed(error, show));
    }
  };
  const button = h("button", { type: "button", onclick: show }, text.more);
  place.append(button);
  return place;
}

/** A picture of the gallery; null where left. */
export function chooseItem() {
  return ask(
    text.chooseItem.title,
    (close) => {
      const grid = h("div.picker");
      const camera = cameraSelect("", () => look());
      const choice = (item) =>
        h(
          "button.tile",
          { type: "button", onclick: () => close(item) },
          thumbnail(item),
          h("span.tile-line", cameraName(item.camera)),
          h("span.tile-line.hint", whenShort(item.time)),
        );
      const page = async (after) => {
        const { items, next } = await api.items({ cameras: camera.value, limit: PAGE, after });
        return [...items.map(choice), moreButton(next, () => page(next))].filter(Boolean);
      };
      const look = () =>
        loadInto(grid, async () => {
          const tiles = await page();
          return tiles.length ? tiles : empty("pictures", text.chooseItem.empty);
        });
      look();
      arrowKeys(grid, ".tile");
      return [field(text.chooseItem.camera, camera), grid];
    },
    { wide: true },
  );
}
