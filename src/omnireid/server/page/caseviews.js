// The list of cases, one case, and an exported file that is checked.

import { api } from "./api.js";
import { bytesOf } from "./base64.js";
import { askFields, askNewCase, caseFields } from "./cases.js";
import { badge } from "./decisions.js";
import { askConfirm, askForm } from "./dialogs.js";
import { action, field, fileInput, fill, h, icon, select, takesDrops } from "./dom.js";
import { save } from "./download.js";
import { bytes, cameraName, day, percent, personName, score, span, when } from "./format.js";
import { go, link, pairsOf, refresh, remember } from "./router.js";
import { may, session } from "./session.js";
import { complaint, empty, loading } from "./states.js";
import { text } from "./text.js";
import { pictureFrame } from "./thumbnails.js";
import { attempt, change, toast } from "./toasts.js";

const HELD = /<script type="application\/json" id="case">\n(.*?)\n<\/script>/s;
const SHOWN = 3; // people of a search before the rest is folded
const SHARE = 0.9; // of what the server takes, for a file's text in JSON

// The list

export async function casesView({ query }) {
  const { cases } = await api.cases();
  let state = query.get("state") in text.cases.states ? query.get("state") : "";
  let wanted = query.get("text") ?? "";
  const list = h("ol.log");
  const foot = h("div", { role: "status" });
  const show = () => {
    const words = wanted.trim().toLowerCase();
    const shown = cases.filter(({ title, reason, closed }) => (!state || (state === "closed") === Boolean(closed)) && `${title}\n${reason}`.toLowerCase().includes(words));
    fill(list, shown.map(row));
    fill(foot, shown.length ? h("p.hint", text.browse.shown(shown.length)) : empty("cases", cases.length ? text.cases.noneFound : text.cases.none, cases.length ? "" : text.cases.noneHint));
    remember("cases", pairsOf({ state, text: wanted }));
  };
  const find = h("input", { type: "search", value: wanted, autocomplete: "off", oninput: () => { wanted = find.value; show(); } });
  const states = select([["", text.cases.allStates], ...Object.entries(text.cases.states)], state, (value) => { state = value; show(); });
  show();
  return h(
    "div.cases",
    h("h1", text.views.cases),
    h("p.lead", text.cases.lead),
    h("div.toolbar", field(text.cases.find, find), field(text.cases.state, states), may("write") ? h("div.field", h("span.label", { "aria-hidden": "true" }, "\u00a0"), action(".primary", "cases", text.cases.create, begin)) : null),
    list,
    foot,
    checking(),
  );
}

async function begin() {
  const made = await askNewCase();
  if (made) go("case", made.id);
}

const row = (one) =>
  h(
    "li.card.log-row",
    icon("cases"),
    h("div.grow", h("p.strong", h("a", { href: link("case", one.id) }, one.title)), h("p.hint.clamped", one.reason), h("p.hint", text.cases.opened(day(one.created), one.created_by), " · ", text.cases.facts(one.entries, day(one.ends)))),
    one.closed ? h("span.badge.none", text.cases.states.closed) : null,
  );

// One case

export async function caseView({ id }) {
  let held;
  try {
    held = await api.case(id);
  } catch (error) {
    if (error.status !== 404) throw error;
    return empty("cases", text.errors.title, text.cases.gone, h("a.button", { href: link("cases") }, text.views.cases));
  }
  const { case: about } = held;
  document.title = `${about.title} · ${text.product}`;
  return h(
    "div.case",
    h("a.back", { href: link("cases") }, icon("back"), text.views.cases),
    h("header", h("h1", about.title), about.closed ? h("span.badge.none", text.cases.states.closed) : null),
    head(about),
    may("write") ? h("div.row", actions(about)) : h("p.hint", text.readOnly),
    content(held.entries, (picture) => api.casePicture(id, picture), may("write") && !about.closed ? (entry) => remove(about, entry) : null),
  );
}

const head = (about) => [
  h("p.case-words", about.reason),
  h(
    "p.hint",
    [text.cases.opened(when(about.created), about.created_by), about.closed ? text.cases.closedBy(when(about.closed), about.closed_by) : null, text.cases.keptUntil(day(about.ends))].filter(Boolean).join(" · "),
  ),
];

const actions = (about) => [
  action(".primary", "upload", text.cases.export, () => exportFile(about)),
  about.closed
    ? action("", "undo", text.cases.reopen, () => change(() => api.reopenCase(about.id), text.cases.didReopen))
    : [
        action("", "edit", text.cases.addNote, () => addNote(about)),
        action("", "edit", text.cases.change, () => edit(about)),
        action("", "key", text.cases.close, () => change(() => api.closeCase(about.id), text.cases.didClose)),
      ],
  action(".danger-quiet", "forget", text.cases.delete, () => drop(about)),
];

/** The file comes to where the browser keeps what it downloads. */
const exportFile = ({ id }) =>
  attempt(async () => {
    const { blob, name } = await api.exportCase(id);
    save(blob, name);
    toast(text.cases.exported(name));
  });

async function addNote({ id }) {
  const note = h("textarea", { rows: 5, maxLength: 4000, dataset: { first: "" } });
  const words = () => note.value.trim();
  const submit = () => api.addToCase(id, { note: words() });
  if (await askForm(text.cases.addNote, field(text.cases.noteAlone, note, text.cases.noteHint), { confirm: text.save, isReady: () => words() !== "", submit })) refresh();
}

async function edit(about) {
  const before = { title: about.title, reason: about.reason };
  const fields = caseFields({ ...before, ends: Date.parse(about.ends) });
  if (!(await askFields(text.cases.change, fields, text.save, (values) => api.changeCase(about.id, values)))) return;
  toast(text.cases.changed, { takeBack: () => change(() => api.changeCase(about.id, { ...before, ends: about.ends })) });
  refresh();
}

async function drop(about) {
  const isSure = await askConfirm(text.cases.deleteTitle(about.title), [text.cases.deleteHint, text.cases.deleteKept], text.cases.deleteConfirm, { danger: true });
  if (isSure && (await attempt(() => api.deleteCase(about.id), text.cases.deleted))) go("cases");
}

async function remove(about, entry) {
  const isSure = await askConfirm(text.cases.removeTitle(entry.number), [text.cases.removeHint], text.cases.removeConfirm, { danger: true });
  if (isSure) await change(() => api.removeFromCase(about.id, entry.id));
}

// What stands in a case, of the server or of a file

/** `load(picture)`: a Blob; `drops(entry)`: removes it, null where it stays. */
function content(entries, load, drops = null) {
  if (!entries.length) return empty("cases", text.cases.empty, drops ? text.cases.emptyHint : "");
  return h("ol.case-entries", entries.map((entry) => h("li.card", { dataset: { kind: entry.kind } }, entryOf(entry, load, drops))));
}

function entryOf(entry, load, drops) {
  const name = entry.person ? `: ${personName({ id: entry.person.identity, name: entry.person.name })}` : "";
  return [
    h(
      "div.sighting-head",
      h("h2", `${entry.number}. ${text.cases.kinds[entry.kind]}${name}`),
      drops ? action(".quiet", "forget", text.cases.remove, () => drops(entry), { "aria-label": text.cases.removeTitle(entry.number) }) : null,
    ),
    h("p.hint", text.cases.addedBy(when(entry.time), entry.actor)),
    entry.forgotten ? h("p.note", text.cases.forgotten(day(entry.forgotten))) : null,
    entry.note ? h("p.case-words", entry.note) : null,
    entry.person ? h("p.hint", text.cases.inGallery(entry.person.items)) : null,
    entry.search ? searchOf(entry.search, load) : null,
    entry.sightings.length ? tiles(entry.sightings, load) : null,
    entry.lost ? h("p.note", text.cases.lost(entry.lost)) : null,
    entry.proof ? h("p.hint", text.cases.proof(when(entry.proof.time), entry.proof.actor, entry.proof.hash)) : null,
  ];
}

function searchOf({ query, decision, calibrated, groups, words, meaning, note, model }, load) {
  const kind = calibrated ? decision ?? "none" : "none";
  return [
    h(`div.verdict.${kind}`, icon(kind === "none" ? "score" : kind), h("div.grow", h("h3", text.search.verdict[kind]), words.length ? h("p.note", text.search.only(words)) : null)),
    h("h3", text.cases.searchedWith(query.count)),
    query.forgotten
      ? h("p.note", text.cases.queryForgotten)
      : h("div.tiles", query.pictures.map((id) => h("figure", casePicture(load, id, text.subject.yours), h("figcaption", query.kind === "item" ? text.subject.fromGallery : text.cases.fromOutside)))),
    groups.slice(0, SHOWN).map((group) => groupOf(group, load)),
    groups.length > SHOWN ? h("details", h("summary", text.cases.morePeople(groups.length - SHOWN)), groups.slice(SHOWN).map((group) => groupOf(group, load))) : null,
    groups.length ? null : h("p", text.search.nobodyFound),
    h("ul.meaning", [...meaning, ...(note ? [note] : [])].map((line) => h("li", line))),
    h("p.hint", text.cases.model(model.name), " ", h("code", model.sha256)),
  ];
}

const groupOf = (group, load) =>
  h(
    "section.case-group",
    h(
      "div.group-head",
      h("h3", group.identity ? personName({ id: group.identity, name: group.name }) : text.nobody, " ", h("span.hint", group.probability === null ? score(group.score) : percent(group.probability))),
      badge(group.decision),
    ),
    tiles(group.sightings, load),
  );

function tiles(sightings, load) {
  const shown = sightings.filter(({ picture }) => picture);
  const rest = sightings.length - shown.length;
  return [
    h(
      "div.tiles",
      shown.map((one) =>
        h(
          "figure.tile",
          casePicture(load, one.picture, text.item.alt(cameraName(one.camera), when(one.time))),
          one.score === null ? null : h("span.tile-line.strong", one.probability === null ? score(one.score) : percent(one.probability)),
          h("figcaption.tile-line.wrapped", cameraName(one.camera)),
          h("span.tile-line.hint.wrapped", span(one.time, one.end_time)),
        )),
    ),
    rest ? h("p.hint", text.cases.more(rest)) : null,
  ];
}

/** A frame with a picture of a case. Without an `id` there is none. */
function casePicture(load, id, words) {
  const shown = async () => {
    const src = URL.createObjectURL(await load(id));
    return { src, onload: () => URL.revokeObjectURL(src) };
  };
  return pictureFrame("middle.whole", id ? shown : null, words);
}

// A file

function checking() {
  const output = h("div", { role: "status" });
  const input = fileInput(take, { accept: ".html,text/html" });
  async function take([file]) {
    if (!file) return;
    fill(output, loading(text.cases.checking));
    try {
      fill(output, await checked(file));
    } catch (error) {
      fill(output, complaint(error.message));
    }
  }
  const zone = h(
    "section.card.check",
    { "aria-label": text.cases.check },
    h("h2", text.cases.check),
    h("p.hint", text.cases.checkHint),
    h("div.row", action("", "upload", text.cases.checkChoose, () => input.click()), input),
    output,
  );
  return takesDrops(zone, take);
}

/** A Blob of a file's picture: { media, content } with its bytes as base64. */
const fromFile = ({ media, content: held }) => new Blob([bytesOf(held)], { type: media === "image/png" ? "image/png" : "image/jpeg" });

async function checked(file) {
  const most = Math.floor((session.info?.limits?.max_bytes ?? Infinity) * SHARE);
  if (file.size > most) throw new Error(text.cases.tooLarge(bytes(file.size), bytes(most)));
  const words = await file.text();
  const found = await api.checkCase(words);
  // The text alone, which the server has just read in the same way: nothing of the file is run or shown as a page.
  const held = JSON.parse(words.replaceAll("\r\n", "\n").match(HELD)[1]);
  const { case: about } = held;
  const isWhole = found.is_unchanged;
  const here = found.exported_here;
  return [
    h(
      `div.verdict.${isWhole ? (here ? "same" : "unsure") : "broken"}`,
      icon(isWhole ? (here ? "same" : "unsure") : "alert"),
      h(
        "div.grow",
        h("h3", isWhole ? text.cases.unchanged : text.cases.isChanged),
        h("p.note", !isWhole ? text.cases.changedHint : here ? text.cases.exportedHere(when(here.time), here.actor, here.gallery) : text.cases.notHere),
        found.is_own_page ? null : h("p.note", text.cases.otherPage(held.omnireid)),
        h("p.hint", "SHA-256 ", h("code", found.sha256)),
      ),
    ),
    h("h3", about.title),
    head(about),
    h("p.hint", text.cases.exportedBy(when(held.exported), held.exported_by)),
    content(held.entries, async (id) => fromFile(held.pictures[id])),
  ];
}
