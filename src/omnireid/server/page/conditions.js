// What a search is limited to and how it is answered: kept by the view, sent to the server, said in the address and
// in words.

import { api } from "./api.js";
import { cameraWords } from "./cameras.js";
import { attributeWords, fromLocal, momentWords, personName, zone } from "./format.js";
import { session } from "./session.js";
import { text } from "./text.js";

/** How likely it is, before looking, that whoever is searched for is in the gallery at all. */
const PRIOR = "0.5";

/** `people`: { id, name } each; `attributes`: [name, value] each, the value with its type; times as their inputs. */
export const noConditions = () => ({
  cameras: [], since: "", until: "", people: [], isUnassigned: false, attributes: [], rate: "", prior: PRIOR, exact: false, rerank: false, number: 10,
});

/** How many differ from `noConditions`; the number of people is no condition. */
export function active(chosen) {
  const none = noConditions();
  return Object.keys(none).filter((name) => name !== "number" && JSON.stringify(chosen[name]) !== JSON.stringify(none[name])).length;
}

export function asBody({ cameras, since, until, people, isUnassigned, attributes, rate: share, prior, exact, rerank, number }) {
  const body = { k: number, group: true, exact, rerank };
  if (cameras.length) body.cameras = cameras;
  if (since) body.since = fromLocal(since);
  if (until) body.until = fromLocal(until);
  if (people.length) body.identities = people.map(({ id }) => id);
  if (isUnassigned) body.has_identity = false;
  if (attributes.length) body.attributes = Object.fromEntries(attributes);
  if (share) body.false_alarm_rate = Number(share);
  // Without a calibration there is no probability that it could move.
  if (prior && session.info.calibrated) body.prior = Number(prior);
  return body;
}

/** As pairs of the address. */
export function asQuery({ cameras, since, until, people, isUnassigned, attributes, rate: share, prior, exact, rerank, number }) {
  const one = (name, value) => (value ? [[name, value]] : []);
  return [
    ...cameras.map((camera) => ["camera", camera]),
    ...one("since", since),
    ...one("until", until),
    ...people.map(({ id }) => ["person", id]),
    ...one("unassigned", isUnassigned && "1"),
    ...attributes.map(([name, value]) => ["attribute", `${name}=${JSON.stringify(value)}`]),
    ...one("rate", share),
    ...one("prior", prior !== PRIOR && prior),
    ...one("exact", exact && "1"),
    ...one("rerank", rerank && "1"),
    ...one("number", number !== noConditions().number && String(number)),
  ];
}

/** The other way round, from URLSearchParams; what cannot be read is left out. Names of people are asked for. */
export async function fromQuery(query) {
  const number = Number(query.get("number"));
  return {
    ...noConditions(),
    cameras: query.getAll("camera"),
    since: moment(query.get("since")),
    until: moment(query.get("until")),
    people: await Promise.all(query.getAll("person").map(named)),
    isUnassigned: query.has("unassigned"),
    attributes: query.getAll("attribute").flatMap(attribute),
    rate: share(query.get("rate")),
    prior: share(query.get("prior")) || PRIOR,
    exact: query.has("exact"),
    rerank: query.has("rerank"),
    ...(Number.isInteger(number) && number > 0 ? { number } : {}),
  };
}

const moment = (value) => (value && !Number.isNaN(Date.parse(value)) ? value : "");
const share = (value) => (Number(value) > 0 && Number(value) < 1 ? value : "");

function attribute(words) {
  const [name, ...value] = words.split("=");
  try {
    return [[name, JSON.parse(value.join("="))]];
  } catch {
    return [];
  }
}

/** { id, name } of an id; without a name where nobody has this id: the server says so when it is asked. */
export async function named(id) {
  try {
    const { id: root, name } = await api.identity(id);
    return { id: root, name };
  } catch (error) {
    if (error.status !== 404) throw error;
    return { id, name: null };
  }
}

const said = (value) => `${momentWords(value)} ${zone(fromLocal(value))}`;

/** Each condition in words. */
export function asWords({ cameras, since, until, people, isUnassigned, attributes, exact, rerank }) {
  return [
    cameraWords(cameras).join(text.search.or),
    since ? `${text.search.since.toLowerCase()} ${said(since)}` : "",
    until ? `${text.search.until.toLowerCase()} ${said(until)}` : "",
    people.map(personName).join(text.search.or),
    isUnassigned ? text.search.unassignedShort : "",
    ...attributes.map(attributeWords),
    exact ? text.search.exactShort : "",
    rerank ? text.search.rerankShort : "",
  ].filter(Boolean);
}
