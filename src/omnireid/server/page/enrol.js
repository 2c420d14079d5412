// Adding pictures, each with camera, time and person, and what became of it.

import { api } from "./api.js";
import { askBox } from "./boxdialog.js";
import { whenStateIsKnown } from "./cameras.js";
import { choosePerson } from "./dialogs.js";
import { action, checkbox, field, fileInput, fill, h, icon, iconButton, takesDrops, titled, typedText, uniqueId } from "./dom.js";
import { fromLocal, percent, personName, toLocal } from "./format.js";
import { moment } from "./moment.js";
import { go, link, refresh } from "./router.js";
import { may, session } from "./session.js";
import { complaint, empty } from "./states.js";
import { asRequest, copyOf, PictureError, picturesOf, readPicture, regionImage } from "./subject.js";
import { text } from "./text.js";
import { personThumbnail } from "./thumbnails.js";
import { didOperate, toast, undo, wasUndone } from "./toasts.js";

// entries: { subject, status, kind } with kind "waiting", "good" or "bad"; `decided`: the server's answer where the
// search decided who it is.
const nothing = () => ({ entries: [], camera: "", time: "", who: "open", person: null, name: "", keep: true, isRunning: false });
const state = nothing();
let shown = null;

/** Come here with what was searched with; `person` { id, name }, or null for a new one. */
export function enrolAs(subject, person) {
  Object.assign(state, { entries: picturesOf(subject).map((one) => entry(copyOf(one))), who: person ? "existing" : "new", person, name: "" });
  go("enrol");
}

const entry = (subject) => ({ subject, kind: "waiting", status: text.enrol.waiting });

export const enrol = {
  take: (files) => shown?.take(files),
  submit: () => shown?.run(),
  reset: () => Object.assign(state, nothing()),
};

export async function enrolView() {
  if (!may("write")) return empty("enrol", text.enrol.title, text.enrol.mayNot);
  const list = h("ul.entries");
  const problems = h("div", { "aria-live": "polite" });
  const button = h("button.primary", { type: "submit" });
  const input = fileInput(take, { multiple: true });

  async function take(files) {
    fill(problems);
    for (const file of files) {
      try {
        state.entries.push(entry(await readPicture(file)));
      } catch (error) {
        if (!(error instanceof PictureError)) throw error;
        problems.append(complaint(error.message));
      }
    }
    show();
  }

  const waiting = () => state.entries.filter(({ kind }) => kind !== "good");

  function show() {
    fill(list, state.entries.length ? state.entries.map((one) => row(one, show)) : h("li.hint", text.enrol.none));
    const count = waiting().length;
    button.disabled = !count || state.isRunning || (state.who === "existing" && !state.person);
    fill(button, icon("enrol"), text.enrol.run(count));
  }

  async function run() {
    if (button.disabled) return;
    state.isRunning = true;
    const all = waiting();
    for (const [done, one] of all.entries()) {
      button.disabled = true;
      fill(button, text.enrol.running(done, all.length));
      await enrolOne(one);
    }
    state.isRunning = false;
    show();
    const added = all.filter(({ kind }) => kind === "good").length;
    if (added) toast(text.enrol.done(added));
  }

  shown = { take, run };
  show();
  return titled(
    text.enrol.title,
    text.enrol.lead,
    h(
      "form.enrol",
      {
        onsubmit: (event) => {
          event.preventDefault();
          run();
        },
      },
      h("section.card", dropPlace(input, take), problems, list),
      h("section.card.fields", details(show), h("div.row.end", button)),
    ),
  );
}

function dropPlace(input, take) {
  const hint = h("p.hint", text.subject.drop, ", ", text.subject.dropHint);
  return takesDrops(h("div.slot.blank", hint, action("", "upload", text.enrol.add, () => input.click()), input), take);
}

function row(one, show) {
  const { subject } = one;
  const isOpen = one.kind !== "good";
  const edit = async () => {
    await askBox(subject);
    show();
  };
  const remove = () => {
    state.entries.splice(state.entries.indexOf(one), 1);
    show();
  };
  return h(
    "li.entry",
    h("span.thumb.small", regionImage(subject)),
    h("div.grow", h("p.strong.ellipsis", subject.name), h(`p.entry-status.${one.kind}`, one.kind === "good" ? icon("tick") : one.kind === "bad" ? icon("alert") : null, h("span", one.status)), one.decided ? decided(one.decided) : null),
    isOpen ? action(".quiet", "box", subject.region ? `${subject.region.width} × ${subject.region.height}` : text.enrol.box, edit) : null,
    iconButton("close", `${text.enrol.remove} ${subject.name}`, remove),
  );
}

function details(show) {
  const names = h("datalist", { id: uniqueId("cameras") });
  whenStateIsKnown(names, ({ cameras }) => cameras.filter(Boolean).map((name) => h("option", { value: name })));
  const camera = h("input", { type: "text", value: state.camera, maxLength: 200, autocomplete: "off", oninput: () => { state.camera = typedText(camera); } });
  camera.setAttribute("list", names.id);
  const time = moment(state.time, (value) => { state.time = value; });
  const now = action(".quiet", "clock", text.enrol.now, () => time.set(toLocal(new Date())));
  return [
    field(text.enrol.camera, camera, text.enrol.cameraHint),
    names,
    h("div.with-button", field(text.enrol.time, time, text.enrol.timeHint), now),
    who(show),
    checkbox(text.enrol.keep, state.keep, (isOn) => { state.keep = isOn; }),
  ];
}

function who(show) {
  const name = uniqueId("who");
  const choose = (value) => () => {
    state.who = value;
    show();
  };
  const radio = (value, words, hint, isDisabled = false) =>
    h("label.check", h("input", { type: "radio", name, value, checked: state.who === value, disabled: isDisabled, onchange: choose(value) }), h("span", words, hint ? h("span.hint", hint) : null));
  const pick = action("", "person", state.person ? personName(state.person) : text.enrol.choose, async () => {
    const person = await choosePerson(text.choosePerson.title);
    if (!person) return;
    Object.assign(state, { person, who: "existing" });
    refresh();
  });
  const newName = h("input", { type: "text", value: state.name, maxLength: 200, autocomplete: "off", placeholder: text.enrol.name, "aria-label": `${text.enrol.newPerson}: ${text.enrol.name}`, oninput: () => { state.name = typedText(newName); } });
  const { calibrated } = session.info;
  return h(
    "fieldset",
    h("legend", text.enrol.who),
    radio("open", text.enrol.open),
    radio("search", text.enrol.search, calibrated ? text.enrol.searchHint : text.enrol.needsCalibration, !calibrated),
    h("div.with-button", radio("existing", text.enrol.existing), pick),
    h("div.with-button", radio("new", text.enrol.newPerson), newName),
  );
}

async function enrolOne(one) {
  try {
    const item = { ...(await asRequest(one.subject)), camera: state.camera, source: one.subject.name, store_thumbnail: state.keep, time: fromLocal(state.time), box: one.subject.region ?? undefined, identity: state.who === "existing" ? state.person.id : undefined };
    const { items: [answer] } = await api.enrol({ items: [item], assign: state.who === "search" });
    if (state.who === "new" && answer.is_new) await joinNewPerson(answer.id);
    Object.assign(one, { kind: "good", status: statusOf(answer), decided: answer.operation ? answer : null });
    if (answer.operation) didOperate(answer.operation, text.enrol.didDecide(one.subject.name, statusOf(answer)));
  } catch (error) {
    Object.assign(one, { kind: "bad", status: `${text.enrol.failed}: ${error.message}` });
  }
}

/** What became of a picture; where the search decided, whom it joined and how likely that is. */
function statusOf({ is_new: isNew, decision, identity, name, probability }) {
  if (!isNew) return text.enrol.known;
  if (!decision) return text.enrol.added;
  const isSure = probability !== null && probability !== undefined;
  return text.enrol.addedAs[decision](personName({ id: identity, name }), isSure ? percent(probability) : "");
}

/** Whom the search made it, to be looked at and taken back at once. */
function decided({ identity, name, operation }) {
  if (wasUndone(operation)) return h("p.hint", text.enrol.undone);
  return h(
    "div.row",
    h("a.decided", { href: link("person", identity) }, personThumbnail(identity, "small"), h("span", personName({ id: identity, name }))),
    may("write") ? action(".quiet", "undo", text.history.undo, () => undo(operation)) : null,
  );
}

/** The first picture makes the person, the others of this run join. */
async function joinNewPerson(id) {
  const { identity } = await api.split([id], state.name);
  Object.assign(state, { who: "existing", person: { id: identity, name: state.name } });
}
