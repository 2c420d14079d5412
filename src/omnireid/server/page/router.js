// Which view is shown: the part of the address behind "#/". The address also says which gallery, and what a view
// looks for, so that it can be bookmarked, sent to somebody, and gone back to.

import { fill, h, keepFocus } from "./dom.js";
import { chooseGallery, galleryName, session } from "./session.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";

const SLOW_MS = 120;

const main = h("main", { id: "content", tabIndex: -1 });
let routes = {};
let onGallery = () => {};
let latest = 0;
let hasFailed = false;

/** { name, id, query } of the address now; the query without the gallery, which `show` takes from it. */
export function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", id = ""] = path.split("/");
  const query = new URLSearchParams(search);
  const gallery = query.get("gallery");
  query.delete("gallery");
  return { name: name || "search", id: decoded(id), query, gallery };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a mistyped address
  }
}

/** `query`: an object, or pairs where a name comes several times. */
export function link(name, id = "", query = {}) {
  const search = new URLSearchParams(query);
  if (session.info?.galleries.length > 1 && !search.has("gallery")) search.set("gallery", galleryName());
  return `#/${name}${id ? `/${encodeURIComponent(id)}` : ""}${search.size ? `?${search}` : ""}`;
}

/** Pairs for the address of what a view looks for: lists one by one, people by their ids; nothing of what is empty. */
export const pairsOf = (chosen) =>
  Object.entries(chosen).flatMap(([name, value]) => [value].flat().map((one) => [name, one?.id ?? one])).filter(([, value]) => value);

export function go(name, id, query) {
  const target = link(name, id, query);
  if (location.hash === target) refresh();
  else location.hash = target;
}

/**
 * Say in the address what the view called `name` looks for now, as long as it is shown. `isStep`: going back leads
 * to what it said before.
 */
export function remember(name, query, { isStep = false } = {}) {
  const here = place();
  const target = link(name, here.id, query);
  if (here.name !== name || target === location.hash) return;
  if (isStep) history.pushState(null, "", target);
  else history.replaceState(null, "", target);
}

/** Switch to the gallery of the address. False where the server has none of this name. */
function adopt(gallery) {
  if (gallery === null || gallery === galleryName()) return true;
  if (!session.info.galleries.includes(gallery)) return false;
  fill(main, loading()); // nothing of the other gallery asks for its pictures here
  chooseGallery(gallery);
  onGallery();
  return true;
}

async function show({ isNew }) {
  latest += 1;
  const mine = latest;
  // A view that waits for the server asks afterwards whether it still is the one that is wanted.
  const here = { ...place(), isCurrent: () => mine === latest };
  const route = routes[here.name];
  hasFailed = false;
  document.title = `${route?.title ?? text.product} · ${text.product}`;
  const slow = setTimeout(() => isNew && fill(main, loading()), SLOW_MS);
  let content;
  try {
    if (!adopt(here.gallery)) content = empty("gallery", text.noGallery(here.gallery), text.noGalleryHint(session.info.galleries));
    else if (!route) content = empty("search", text.notFound, "", h("a.button", { href: link("search") }, text.views.search));
    else content = await route.view(here);
  } catch (error) {
    content = failed(error, refresh);
    hasFailed = true;
  }
  clearTimeout(slow);
  if (mine !== latest) return; // another view was asked for meanwhile
  keepFocus(main, () => fill(main, content));
  main.dataset.view = here.name;
  if (isNew) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

/** Show the view anew, with what the server knows now. */
export const refresh = () => show({ isNew: false });

/** Show it anew where it could not be shown before. */
export function recover() {
  if (hasFailed) refresh();
}

/**
 * Start with { name: { title, view: async (place) => element } }; returns the place of the content.
 * `switched()` is called when the address names another gallery.
 */
export function startRouter(table, switched) {
  routes = table;
  onGallery = switched;
  window.addEventListener("hashchange", () => show({ isNew: true }));
  show({ isNew: false });
  return main;
}
