// Which view is shown: the part of the address behind "#/".

import { fill, h } from "./dom.js";
import { empty, failed, loading } from "./states.js";
import { text } from "./text.js";

const SLOW_MS = 120;

const main = h("main", { id: "content", tabIndex: -1 });
let routes = {};
let latest = 0;
let hasFailed = false;

/** { name, id, query } of the address now. */
export function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", id = ""] = path.split("/");
  return { name: name || "search", id: decodeURIComponent(id), query: new URLSearchParams(search) };
}

export const link = (name, id = "", query = {}) => {
  const search = new URLSearchParams(query).toString();
  return `#/${name}${id ? `/${encodeURIComponent(id)}` : ""}${search ? `?${search}` : ""}`;
};

export function go(name, id, query) {
  const target = link(name, id, query);
  if (location.hash === target) refresh();
  else location.hash = target;
}

async function show({ isNew }) {
  latest += 1;
  const mine = latest;
  const here = place();
  const route = routes[here.name];
  hasFailed = false;
  document.title = `${route?.title ?? text.product} · ${text.product}`;
  const slow = setTimeout(() => isNew && fill(main, loading()), SLOW_MS);
  let content;
  try {
    content = route ? await route.view(here) : empty("search", text.notFound);
  } catch (error) {
    content = failed(error, refresh);
    hasFailed = true;
  }
  clearTimeout(slow);
  if (mine !== latest) return; // another view was asked for meanwhile
  fill(main, content);
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

/** Start with { name: { title, view: async (place) => element } }; returns the place of the content. */
export function startRouter(table) {
  routes = table;
  window.addEventListener("hashchange", () => show({ isNew: true }));
  show({ isNew: false });
  return main;
}
