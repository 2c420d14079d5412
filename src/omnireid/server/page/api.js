// The server's REST interface: one function per call, errors as `Problem`.

import { lost } from "./connection.js";
import { authorisation, galleryName, getToken, session } from "./session.js";
import { text } from "./text.js";

const RETRIES = 3;
const LONGEST_WAIT_S = 10;

/** No success, with words for the reader and the fields that are wrong; `status` is 0 where there was no answer. */
export class Problem extends Error {
  constructor(status, title, detail, fields = []) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.fields = fields;
  }
}

let askToken = async () => false;

/** Set what is called when the server wants a token; it resolves to whether to try again. */
export function onTokenNeeded(ask) {
  askToken = ask;
}

function address(path, query) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  return url;
}

async function request(method, path, { query = {}, body = undefined, signal = undefined } = {}) {
  const headers = authorisation();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(address(path, { gallery: galleryName(), ...query }), {
      method,
      headers,
      signal,
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Problem(0, text.errors.noServer);
  }
}

async function problemOf(response) {
  if (response.status === 403) return new Problem(403, text.errors.forbidden);
  try {
    const { title, detail, errors } = await response.json();
    const fields = (errors ?? []).map(({ field }) => field);
    return new Problem(response.status, title, detail, fields);
  } catch {
    return new Problem(response.status, text.errors.unexpected(response.status));
  }
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Ask until there is an answer to give: a token is asked for, a busy server is given the time it names. */
async function answer(method, path, options = {}) {
  for (let attempt = 0; ; attempt += 1) {
    const tokenUsed = getToken();
    const response = await request(method, path, options);
    if (response.ok) return response;
    // Meanwhile another request may have asked for the token.
    const isNewToken = () => tokenUsed !== getToken();
    if (response.status === 401 && options.asksToken !== false && (isNewToken() || (await askToken()))) continue;
    const seconds = Number(response.headers.get("Retry-After"));
    const isBusy = response.status === 429 || response.status === 503;
    if (!isBusy || attempt === RETRIES || seconds > LONGEST_WAIT_S) throw await problemOf(response);
    await wait(seconds || 1);
  }
}

async function json(method, path, options) {
  const response = await answer(method, path, options);
  const content = await response.text();
  return content ? JSON.parse(content) : null;
}

/** For calls after which what was read before is out of date. */
async function change(method, path, options) {
  const result = await json(method, path, options);
  session.changes += 1;
  return result;
}

const part = encodeURIComponent;
const here = () => part(galleryName());

export const api = {
  info: (options) => json("GET", "v1/info", options),
  search: (body, signal) => json("POST", "v1/search", { body, signal }),
  detect: (body, signal) => json("POST", "v1/detect", { body, signal }),
  verify: (body, signal) => json("POST", "v1/verify", { body, signal }),
  enrol: (body) => change("POST", "v1/enrol", { body }),

  items: (query, signal) => json("GET", "v1/items", { query, signal }),
  item: (id) => json("GET", `v1/items/${part(id)}`),
  thumbnail: async (id) => (await answer("GET", `v1/items/${part(id)}/thumbnail`)).blob(),
  forgetItems: (items) => change("POST", "v1/items/forget", { body: { items } }),
  attributes: () => json("GET", "v1/attributes"),

  identities: (query, signal) => json("GET", "v1/identities", { query: { ...query, text: query.text && text.labelled(query.text) }, signal }),
  // Their ids are anybody's texts: no path carries them all.
  identity: (id) => json("GET", "v1/identity", { query: { id } }),
  timeline: (id) => json("GET", "v1/identity/timeline", { query: { id } }),
  nameIdentity: (id, name) => change("PUT", "v1/identity", { query: { id }, body: { name } }),
  forgetIdentity: (id) => change("DELETE", "v1/identity", { query: { id } }),
  merge: (into, identities) => change("POST", "v1/identities/merge", { body: { into, identities } }),
  split: (items, name) => change("POST", "v1/identities/split", { body: name ? { items, name } : { items } }),
  assign: (items, identity) => change("POST", "v1/identities/assign", { body: { items, identity } }),

  operations: (query) => json("GET", "v1/operations", { query }),
  reject: (body) => change("POST", "v1/reject", { body }),
  takeBackRejection: (id) => change("DELETE", "v1/reject", { query: { id } }),
  undo: (id) => change("POST", `v1/operations/${part(id)}/undo`),

  galleryState: () => json("GET", `v1/galleries/${here()}`),
  buildIndex: () => json("POST", `v1/galleries/${here()}/index`),
  setRetention: (body) => json("PUT", `v1/galleries/${here()}/retention`, { body }),
  runRetention: () => change("POST", `v1/galleries/${here()}/retention/run`),
  watchList: () => json("GET", "v1/watch"),
  watchEstimate: (identity) => json("GET", "v1/watch/estimate", { query: { identity } }),
  watch: (body) => json("POST", "v1/watch", { body }),
  unwatch: (id) => json("DELETE", `v1/watch/${part(id)}`),
  watchAlerts: (query) => json("GET", "v1/watch/alerts", { query }),
  answerAlert: (id, answer) => json("POST", `v1/watch/alerts/${part(id)}`, { body: { answer } }),
  cameras: () => json("GET", "v1/cameras"),
  cameraMap: () => json("GET", "v1/cameras/map"),
  cameraFrame: (name) => json("GET", `v1/cameras/${part(name)}/frame`),
  cameraGroups: () => json("GET", `v1/galleries/${here()}/camera-groups`),
  setCameraGroups: (groups) => json("PUT", `v1/galleries/${here()}/camera-groups`, { body: { groups } }),
  floorPlan: () => json("GET", `v1/galleries/${here()}/floor-plan`),
  floorPlanPicture: async () => (await answer("GET", `v1/galleries/${here()}/floor-plan/picture`)).blob(),
  setFloorPlan: (body) => json("PUT", `v1/galleries/${here()}/floor-plan`, { body }),
  setPins: (pins) => json("PUT", `v1/galleries/${here()}/floor-plan/pins`, { body: { pins } }),
  deletePlan: () => json("DELETE", `v1/galleries/${here()}/floor-plan`),
  audit: (query) => json("GET", "v1/audit", { query }),
  auditExport: async (query) => (await answer("GET", "v1/audit/export", { query })).blob(),

  cases: () => json("GET", "v1/cases"),
  case: (id) => json("GET", `v1/cases/${part(id)}`),
  createCase: (body) => json("POST", "v1/cases", { body }),
  changeCase: (id, body) => json("PUT", `v1/cases/${part(id)}`, { body }),
  closeCase: (id) => json("POST", `v1/cases/${part(id)}/close`),
  reopenCase: (id) => json("POST", `v1/cases/${part(id)}/reopen`),
  deleteCase: (id) => json("DELETE", `v1/cases/${part(id)}`),
  addToCase: (id, body) => json("POST", `v1/cases/${part(id)}/entries`, { body }),
  removeFromCase: (id, entry) => json("DELETE", `v1/cases/${part(id)}/entries/${part(entry)}`),
  casePicture: async (id, picture) => (await answer("GET", `v1/cases/${part(id)}/pictures/${part(picture)}`)).blob(),
  exportCase: async (id) => {
    const response = await answer("POST", `v1/cases/${part(id)}/export`);
    const [, name] = response.headers.get("Content-Disposition").match(/filename="([^"]+)"/);
    return { blob: await response.blob(), name };
  },
  checkCase: (file) => json("POST", "v1/cases/check", { body: { file } }),
};
