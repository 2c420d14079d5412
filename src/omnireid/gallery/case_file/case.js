"use strict";
// Shows the case that this file holds, and says whether it is as it was exported. Data only ever becomes text.

const source = document.getElementById("case").textContent.trim();
const stated = document.querySelector('meta[name="omnireid-sha256"]').getAttribute("content");

function h(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** SHA-256 for browsers that give WebCrypto to no file (FIPS 180-4). */
function ownSha256(bytes) {
  const rotated = (value, by) => (value >>> by) | (value << (32 - by));
  const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
  const primes = [];
  for (let next = 2; primes.length < 64; next += 1) if (primes.every((prime) => next % prime)) primes.push(next);
  const constants = primes.map((prime) => fraction(Math.cbrt(prime)));
  const state = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0);
  const words = new Int32Array(64);
  for (let start = 0; start < padded.length; start += 64) {
    for (let i = 0; i < 16; i += 1) words[i] = view.getInt32(start + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const [far, near] = [words[i - 15], words[i - 2]];
      words[i] = words[i - 16] + words[i - 7] + (rotated(far, 7) ^ rotated(far, 18) ^ (far >>> 3)) + (rotated(near, 17) ^ rotated(near, 19) ^ (near >>> 10));
    }
    let [a, b, c, d, e, f, g, last] = state;
    for (let i = 0; i < 64; i += 1) {
      const one = (last + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + words[i]) | 0;
      const two = ((rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [a, b, c, d, e, f, g, last] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, last].forEach((value, i) => (state[i] = (state[i] + value) | 0));
  }
  return state.map((value) => (value >>> 0).toString(16).padStart(8, "0")).join("");
}

async function sha256(text) {
  const bytes = new TextEncoder().encode(text);
  if (!globalThis.crypto?.subtle) return ownSha256(bytes);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const DECISIONS = { same: "Likely the same person", unsure: "Unsure", new: "Likely another person" };
const VERDICTS = { ...DECISIONS, new: "Likely nobody in the gallery" };
const KINDS = { search: "Search", person: "Person", pictures: "Pictures", note: "Note" };
const ACTIONS = {
  search: "searched", "case-create": "opened the case", "case-add": "added to the case", "case-change": "changed title, reason or end date", "case-close": "closed the case",
  "case-reopen": "opened the case again", "case-remove": "removed from the case", "case-export": "exported the case",
};

const when = (time) => (time ? new Date(time).toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }) : "time unknown");
const who = ({ identity, name }) => name || identity || "not assigned to a person";
const camera = (name) => name || "camera unknown";
const by = (actor) => `by ${{ "": "somebody", local: "somebody without a token" }[actor] ?? actor}`;
const count = (number, one, many) => `${number.toLocaleString("en-GB")} ${number === 1 ? one : many}`;

function percent(share) {
  const value = share * 100;
  if (value > 99.9 && value < 100) return "> 99.9 %";
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${Number(value.toFixed(value > 99 || value < 10 ? 1 : 0))} %`;
}

const likeness = ({ probability, score, decision }) =>
  [probability === null ? null : `probability ${percent(probability)}`, score === null ? null : `score ${score.toFixed(3)}`, DECISIONS[decision]].filter(Boolean).join(" · ");

const facts = (pairs) => h("dl", {}, pairs.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

function picture(held, id, words) {
  const kept = held.pictures[id];
  if (!kept) return h("span", { className: "blank" }, "no picture kept");
  return h("img", { src: `data:${kept.media};base64,${kept.content}`, alt: words });
}

const tile = (held, one) =>
  h("figure", {}, picture(held, one.picture, `Person seen by ${camera(one.camera)}, ${when(one.time)}`), h("figcaption", {}, h("b", {}, camera(one.camera)), h("br"), when(one.time), one.score === null ? "" : [h("br"), likeness(one)]));

function group(held, one) {
  return h("section", { className: "group" }, h("h4", {}, who(one)), h("p", {}, likeness(one)), h("div", { className: "tiles" }, one.sightings.map((sighting) => tile(held, sighting))));
}

function search(held, { query, model, decision, groups, words, meaning, note }) {
  const asked = query.forgotten ? h("p", { className: "gone" }, "What was searched with was forgotten.") : h("div", { className: "tiles" }, query.pictures.map((id) => h("figure", {}, picture(held, id, "Searched with"), h("figcaption", {}, query.kind === "item" ? "from the gallery" : "from outside the gallery"))));
  return [
    h("p", { className: "verdict" }, VERDICTS[decision] ?? "Scores only"),
    h("h4", {}, `Searched with ${count(query.count, "picture", "pictures")}`),
    asked,
    words.length ? h("p", {}, `Only: ${words.join(" · ")}`) : null,
    h("ul", {}, meaning.map((line) => h("li", {}, line)), note ? h("li", {}, note) : null),
    h("p", { className: "hint" }, `Model ${model.name}, SHA-256 ${model.sha256}`),
    groups.length ? groups.map((one) => group(held, one)) : h("p", {}, "Nobody was found."),
  ];
}

function entry(held, one) {
  const shown = one.sightings.filter(({ picture: id }) => id);
  const rest = one.sightings.length - shown.length;
  return h(
    "article",
    {},
    h("h3", {}, `${one.number}. ${KINDS[one.kind]}${one.person ? `: ${who(one.person)}` : ""}`),
    h("p", { className: "hint" }, `added ${when(one.time)} ${by(one.actor)}`),
    one.forgotten ? h("p", { className: "gone" }, `Forgotten on ${when(one.forgotten)}: nothing of it is left.`) : null,
    one.note ? h("p", { className: "note" }, one.note) : null,
    one.person ? h("p", {}, `Id ${one.person.identity}. ${count(one.person.items, "picture", "pictures")} in the gallery then.`) : null,
    one.search ? search(held, one.search) : null,
    shown.length ? h("div", { className: "tiles" }, shown.map((sighting) => tile(held, sighting))) : null,
    rest > 0 ? h("p", { className: "hint" }, `${count(rest, "more picture stands", "more pictures stand")} in the table of sightings.`) : null,
    one.lost ? h("p", { className: "gone" }, `${count(one.lost, "picture was", "pictures were")} forgotten since.`) : null,
    one.proof ? h("p", { className: "hint" }, `In the audit log: searched ${when(one.proof.time)} ${by(one.proof.actor)}, link ${one.proof.hash}.`) : null,
  );
}

/** [entry, kind, person, camera, time, …] of every picture that the case lists. */
function rows({ entries }) {
  return entries.flatMap(({ number, kind, sightings, search: seen }) =>
    [...sightings, ...(seen?.groups ?? []).flatMap((one) => one.sightings)].map((one) => [
      number, kind, one.identity ?? "", one.name ?? "", one.camera, one.time ?? "", one.probability ?? "", one.score ?? "", one.decision ?? "", one.item, one.source,
    ]));
}

const HEAD = ["entry", "kind", "person", "name", "camera", "time", "probability", "score", "decision", "picture", "source"];

function csv(held) {
  // A spreadsheet would run what begins like a formula.
  const cell = (value) => (typeof value === "number" ? String(value) : `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
  return [HEAD, ...rows(held)].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function saveCsv(held) {
  const url = URL.createObjectURL(new Blob(["\ufeff", csv(held)], { type: "text/csv" }));
  h("a", { href: url, download: `case-${held.case.id}-sightings.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function audit({ audit: log }) {
  const cells = (one) => [when(one.time), one.actor, ACTIONS[one.action] ?? one.action, `${one.writer} ${one.n}`, one.prev, one.hash];
  return [
    h("h2", {}, "Audit log"),
    h("p", {}, `When this was exported, ${count(log.checked, "entry was", "entries were")} checked: ${log.problems.length ? log.problems.join("; ") : "none was changed or removed"}. Each entry holds the link of the one before it in its chain; only the gallery itself has the key to the links.`),
    h("div", { className: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ["Time", "Who", "What", "Chain and place", "Link before", "Link"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, log.entries.map((one) => h("tr", {}, cells(one).map((value) => h("td", {}, value))))))),
  ];
}

function state(isWhole, sum) {
  return h(
    "div",
    { className: isWhole ? "state whole" : "state broken", role: "status", id: "state" },
    h("b", {}, isWhole ? "Unchanged" : "Changed"),
    h("p", {}, isWhole ? "The case in this file is the one that its hash was made of." : "What this file holds is not what was exported: something was changed or damaged after. Do not rely on it."),
    h("p", { className: "hint" }, `SHA-256 ${sum}`),
    h("p", { className: "hint" }, "Who changes a file can write a new hash into it, too. Whether this very file was exported, the server that did so can tell: its audit log holds the hash (Cases, Check a file)."),
  );
}

function page(held, isWhole, sum) {
  const { case: about } = held;
  document.title = `${about.title} · case`;
  return [
    h("h1", {}, about.title),
    state(isWhole, sum),
    h("p", { className: "note" }, about.reason),
    facts([
      ["Opened", `${when(about.created)} ${by(about.created_by)}`],
      ["Closed", about.closed ? `${when(about.closed)} ${by(about.closed_by)}` : "no"],
      ["Kept until", when(about.ends)],
      ["Exported", `${when(held.exported)} ${by(held.exported_by)}`],
      ["Gallery", held.gallery],
      ["Made with", `OmniReID ${held.omnireid}`],
    ]),
    h("p", { className: "tools" }, h("button", { type: "button", onclick: () => saveCsv(held) }, "Save sightings as CSV"), h("button", { type: "button", onclick: () => print() }, "Print, or save as PDF")),
    h("p", { className: "hint" }, "A search says who looks alike. It is no proof of identity; a person has to look at the pictures, cameras and times. This file shows people: keep it safe, and delete it when the case ends."),
    h("h2", {}, "Entries"),
    held.entries.length ? held.entries.map((one) => entry(held, one)) : h("p", {}, "There are none."),
    audit(held),
  ];
}

async function show() {
  const sum = await sha256(source);
  let content;
  try {
    content = page(JSON.parse(source), sum === stated, sum);
  } catch (error) {
    content = [state(false, sum), h("p", {}, `What it holds cannot be read: ${error.message}`)];
  }
  document.getElementById("shown").replaceChildren(...content.flat(Infinity));
}

show();
