// The watch list: who is watched for, why, until when, how many false alarms to expect; and the alerts.

import { api } from "./api.js";
import { badge, likeness } from "./decisions.js";
import { askConfirm, askForm, choosePerson } from "./dialogs.js";
import { action, field, fill, focusOn, h, icon, keepFocus, typedText } from "./dom.js";
import { cameraName, dateOf, day, endOf, personName, rate, when } from "./format.js";
import { showItem } from "./itemdialog.js";
import { go, link, refresh } from "./router.js";
import { may, session } from "./session.js";
import { empty, failed, loadInto } from "./states.js";
import { fromItem } from "./subject.js";
import { people as peopleCount, text } from "./text.js";
import { personThumbnail, thumbnail } from "./thumbnails.js";
import { attempt, change, complain, toast } from "./toasts.js";
import { alerts as stream, recount } from "./watchstream.js";

const DAY_MS = 86_400_000;
const CONFLICT = 409;
const MOST_DAYS = 92;
const USUAL_DAYS = 7;
const MOST_NAMES = 3; // of a title

export async function watchView() {
  const list = h("section.watch-list", { "aria-label": text.watch.list });
  const row = h("section.alerts", { "aria-label": text.watch.alerts });
  const show = async () => {
    const [state, page] = await Promise.all([api.watchList(), api.watchAlerts({})]);
    // It comes anew with each alert, also while somebody is on a button of it.
    keepFocus(list, () => fill(list, listOf(state)));
    keepFocus(row, () => fill(row, alertsOf(page, state)));
  };
  const again = () => {
    if (!list.isConnected) stream.removeEventListener("alert", again);
    else show().catch(complain);
  };
  let raised;
  do {
    raised = stream.raised;
    await show();
  } while (stream.raised !== raised);
  stream.addEventListener("alert", again);
  return h(
    "div.watch",
    h("h1", text.watch.title),
    h("p.lead", text.watch.lead, " ", h("a", { href: "assets/responsible-use.html#watching" }, text.watch.responsible)),
    h("div.watch-columns", row, list),
  );
}

function listOf(state) {
  const { entries, expectation, judged, can_change: fault, dropped, webhook, broker } = state;
  return [
    h(
      "div.row.watch-head",
      h("h2.grow", text.watch.list),
      may("write") && !fault ? action(".primary", "watch", text.watch.add, addSomebody) : null,
    ),
    fault ? h("p.warning", icon("alert"), h("span", text.watch.cannot(fault))) : null,
    may("write") ? null : h("p.hint", text.readOnly),
    entries.length
      ? [h("ul.entries-watched", entries.map((entry) => entryOf(entry, !fault))), h("div.card.expected", h("h3", text.watch.expectTitle), expected(expectation), h("p.hint", judgedWords(judged)))]
      : empty("watch", text.watch.nobody, text.watch.nobodyHint),
    dropped ? h("p.warning", icon("alert"), h("span", text.watch.dropped(dropped))) : null,
    webhook ? receiverOf(text.watch.webhook, webhook) : null,
    broker ? receiverOf(text.watch.broker, broker) : null,
  ];
}

/** What the traffic of this site implies, in words. */
function expected({ people, pictures_per_day: perDay, days, rate: share, is_measured: isMeasured, false_alarms_per_day: count, note }) {
  if (!people) return h("p", text.watch.expectNobody);
  if (!days) return h("p", text.watch.expectNoTraffic);
  if (count === null) return h("p", text.watch.expectUnknown(perDay), note ? h("span.hint", ` ${note}`) : null);
  return [h("p.strong", text.watch.expect(perDay, rate(share), count)), h("p.hint", text.watch.expectHow(days, isMeasured))];
}

const judgedWords = ({ right, wrong }) => (right + wrong ? text.watch.judged(right, right + wrong) : text.watch.judgedNone);

function entryOf(entry, canChange) {
  const { identity, name, reason, ends, has_ended: hasEnded, created, actor, alerts, unanswered } = entry;
  const person = { id: identity, name };
  return h(
    hasEnded ? "li.card.watched.has-ended" : "li.card.watched",
    personThumbnail(identity, "small"),
    h(
      "div.grow",
      h("h3", h("a", { href: link("person", identity) }, personName(person))),
      h("p", h("span.hint", `${text.watch.reason}: `), reason),
      h("p", hasEnded ? text.watch.ended(day(ends)) : text.watch.until(day(ends), Math.floor((Date.parse(ends) - Date.now()) / DAY_MS))),
      h("p.hint", [text.watch.made(actor, day(created)), text.watch.count(alerts, unanswered)].join(" · ")),
    ),
    may("write") && canChange
      ? h("button.danger-quiet", { type: "button", "aria-label": text.watch.endOf(personName(person)), onclick: () => endEntry(entry) }, text.watch.end)
      : null,
  );
}

function receiverOf(title, { host, waiting, oldest, failures, failure, next_try: next, given_up: givenUp }) {
  const words = waiting ? text.watch.webhookWaits(waiting, when(oldest)) : text.watch.webhookWell;
  return h(
    "div.card.expected",
    h("h3", title(host)),
    h(failures ? "p.warning" : "p", failures ? icon("alert") : null, h("span", words, failures ? ` ${text.watch.webhookFails(failure, failures, when(next))}` : "")),
    givenUp ? h("p.hint", text.watch.webhookGaveUp(givenUp)) : null,
  );
}

async function endEntry({ id, identity, name, alerts }) {
  const person = personName({ id: identity, name });
  const isSure = await askConfirm(text.watch.endTitle(person), [text.watch.endLoses(alerts)], text.watch.end, { danger: true });
  if (!isSure) return;
  await change(() => api.unwatch(id), text.watch.endDone(person));
  recount();
}

async function addSomebody() {
  const person = await choosePerson(text.watch.choose);
  if (person && (await watchFor([person]))) refresh();
}

/** For a person's view: asks why and until when. Null where the token may not. */
export function watchButton(person) {
  if (!may("write")) return null;
  return action("", "watch", text.watch.button, async () => (await watchFor([person])) && go("watch"));
}

/** Ask why and until when, saying before what to expect. Resolves to whether somebody was put on the list. */
export function watchFor(people) {
  const namesOf = (some) => (some.length > MOST_NAMES ? peopleCount(some.length) : some.map(personName).join(", "));
  const reason = h("input", { type: "text", required: true, maxLength: 300, autocomplete: "off", dataset: { first: "" } });
  const said = h("p.hint", { "aria-live": "polite" });
  // The browser's control writes the day in the order of its own language.
  const say = () => fill(said, ends.value ? text.watch.endsHint(day(endOfWatch(ends.value)), MOST_DAYS) : null);
  const ends = h("input", { type: "date", required: true, oninput: () => say(), min: dateOf(after(1)), max: dateOf(after(MOST_DAYS)), value: dateOf(after(USUAL_DAYS)) });
  say();
  const estimate = h("div.expected", { "aria-live": "polite" });
  loadInto(estimate, async () => [h("h3", text.watch.expectTitle), expected(await api.watchEstimate(people.map(({ id }) => id)))].flat());
  const [left, fresh, before] = [[...people], [], []]; // where one fails, the next press goes on with the others
  const watchFirst = async () => {
    try {
      return await api.watch({ identity: left[0].id, reason: typedText(reason), ends: endOfWatch(ends.value) });
    } catch (error) {
      if (error.status !== CONFLICT || people.length === 1) throw error;
      return null; // is on the list already
    }
  };
  const submit = async () => {
    while (left.length) {
      const isNew = await watchFirst();
      (isNew ? fresh : before).push(left.shift());
    }
    if (before.length) toast(text.watch.already(namesOf(before)), { kind: "problem" });
    if (fresh.length) toast(text.watch.saved(namesOf(fresh), fresh.length, day(endOfWatch(ends.value))));
    return true;
  };
  const content = [
    h("p.warning", icon("alert"), h("span", text.watch.warning(people.length))),
    field(text.watch.reason, reason, text.watch.reasonHint),
    h("div", field(text.watch.ends, ends), said),
    session.info.calibrated ? null : h("p.note", text.watch.needsCalibration),
    estimate,
  ];
  return askForm(text.watch.addTitle(namesOf(people)), content, { confirm: [icon("watch"), text.watch.save], submit, say: failed });
}

const after = (days) => Date.now() + days * DAY_MS;

/** The end of that day, but no more than may be asked for. */
const endOfWatch = (date) => endOf(date, after(MOST_DAYS) - 60_000);

function alertsOf(first, { entries }) {
  const rows = h("ol.alert-rows");
  const foot = h("div.row.centred");
  const add = ({ alerts, next }) => {
    const added = alerts.map(alertOf);
    rows.append(...added);
    const more = async () => {
      try {
        focusOn(add(await api.watchAlerts({ before: next })));
      } catch (error) {
        fill(foot, failed(error, more));
      }
    };
    fill(foot, next === null ? null : h("button", { type: "button", onclick: more }, text.more));
    return added[0];
  };
  add(first);
  return [
    h("h2", text.watch.alerts, first.unanswered ? h("span.hint", text.watch.unanswered(first.unanswered)) : null),
    first.alerts.length ? [h("p.hint", text.watch.alertsHint), rows, foot] : empty("tick", text.watch.noAlerts, entries.length ? text.watch.noAlertsHint : ""),
  ];
}

function alertOf(alert) {
  const { id, identity, name, item, compared, why, probability, score, raised, answer, answered_by: by, reason } = alert;
  const person = { id: identity, name };
  const look = () => showItem({ item, probability, score: score ?? undefined, decision: "same" }, { query: compared ? fromItem(compared) : undefined });
  const said = (value) =>
    attempt(async () => {
      const fresh = alertOf(await api.answerAlert(id, value));
      element.replaceWith(fresh);
      fresh.querySelector("[data-answer]")?.focus();
      recount();
    });
  const element = h(
    answer === "new" ? "li.card.alert" : "li.card.alert.is-answered",
    { dataset: { seq: alert.seq } },
    h(
      "div.alert-pictures",
      h("figure", h("button.bare", { type: "button", "aria-label": text.watch.openNew, onclick: look }, thumbnail(item, "alert-size")), h("figcaption", text.watch.newPicture)),
      h("figure", thumbnail(compared ?? { has_thumbnail: false }, "alert-size"), h("figcaption", text.watch.knownPicture)),
    ),
    h(
      "div.alert-body",
      h("h3", why === "enrolled" ? text.watch.enrolledAs : text.watch.looksLike, " ", h("a", { href: link("person", identity) }, personName(person))),
      h("p", h("strong", cameraName(item.camera)), ` · ${when(item.time)}`),
      // What somebody called wrong is not shown as the same any more.
      why === "looks" && probability !== null && answer !== "wrong" ? h("div.alert-likeness", badge("same"), likeness({ probability, score, decision: "same" })) : null,
      h("p.hint", `${text.watch.reason}: ${reason} · ${text.watch.raised(when(raised))}`),
      answer === "new" ? null : h("p.alert-answer", { role: "status" }, icon(answer === "wrong" ? "new" : "tick"), text.watch.answers[answer], h("span.hint", text.watch.by(by))),
      may("write") ? h("div.row", answerButtons(answer, said)) : null,
    ),
  );
  return element;
}

function answerButtons(answer, said) {
  const say = (value, style, symbol, words) => action(style, symbol, words, () => said(value), { dataset: { answer: value } });
  if (answer === "right" || answer === "wrong") return say("new", ".quiet", "undo", text.watch.takeBack);
  const seen = h("button.quiet", { type: "button", dataset: { answer: "seen" }, onclick: () => said("seen") }, text.watch.saySeen);
  return [say("right", "", "tick", text.watch.sayRight), say("wrong", "", "new", text.watch.sayWrong), answer === "seen" ? null : seen];
}

/** A number on the tab: alerts that nobody has answered. */
export function alertCount() {
  const element = h("span.tab-count", { hidden: true });
  const show = () => {
    element.hidden = !stream.count;
    fill(element, stream.count > 99 ? "99+" : String(stream.count), h("span.sr-only", ` ${text.watch.unanswered(stream.count)}`));
  };
  stream.addEventListener("count", show);
  show();
  return element;
}
