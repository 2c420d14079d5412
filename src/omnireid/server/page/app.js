// Puts the page together: header, views, and what the whole page listens to.

import { api, onTokenNeeded } from "./api.js";
import { auditView } from "./audit.js";
import { peopleView, picturesView, resetBrowsing } from "./browse.js";
import { casesView, caseView } from "./caseviews.js";
import { compare, compareView } from "./compare.js";
import { connection, watch } from "./connection.js";
import { askToken } from "./dialogs.js";
import { filesOf, fill, h, icon, iconButton, select } from "./dom.js";
import { enrol, enrolView } from "./enrol.js";
import { galleryView } from "./gallery.js";
import { historyView } from "./history.js";
import { listenToKeys, showHelp } from "./keys.js";
import { liveView } from "./live.js";
import { mapView } from "./map.js";
import { personView } from "./person.js";
import { go, link, place, recover, startRouter } from "./router.js";
import { search, searchView } from "./search.js";
import { galleryName, may, session, setToken } from "./session.js";
import { several, severalView } from "./several.js";
import { failed, loading } from "./states.js";
import { text } from "./text.js";
import { themeButton } from "./theme.js";
import { dropAllThumbnails } from "./thumbnails.js";
import { timelineView } from "./timelineview.js";
import { forgetUndo, toast, toastShelf, undoButton } from "./toasts.js";
import { alertCount, watchView } from "./watch.js";
import { listenToAlerts, restartAlerts } from "./watchstream.js";

const ROUTES = {
  search: { title: text.views.search, view: searchView },
  frame: { title: text.several.titles.search, view: severalView, under: "search" },
  people: { title: text.views.people, view: peopleView },
  person: { title: text.item.person, view: personView, under: "people" },
  timeline: { title: text.views.timeline, view: timelineView, under: "people" },
  live: { title: text.views.live, view: liveView },
  map: { title: text.views.map, view: mapView, under: "live" },
  pictures: { title: text.views.pictures, view: picturesView },
  compare: { title: text.views.compare, view: compareView },
  enrol: { title: text.views.enrol, view: enrolView },
  watch: { title: text.views.watch, view: watchView },
  gallery: { title: text.views.gallery, view: galleryView },
  cases: { title: text.views.cases, view: casesView },
  case: { title: text.cases.title, view: caseView, under: "cases" },
  audit: { title: text.views.audit, view: auditView, under: "gallery" },
  history: { title: text.views.history, view: historyView, under: "gallery" },
};
const TABS = ["search", "people", "pictures", "compare", "enrol", "watch", "cases", "gallery", "live"];

/** Views that take dropped and pasted pictures, and Ctrl+Enter. */
const TAKERS = { search, compare, enrol };

function navigation() {
  const isUseful = { enrol: may("write"), live: session.info.features.includes("cameras") };
  const tabs = TABS.filter((name) => isUseful[name] ?? true).map((name) =>
    h("a.tab", { href: link(name), dataset: { view: name } }, icon(name), h("span", text.views[name]), name === "watch" ? alertCount() : null),
  );
  const mark = () => {
    const { name } = place();
    for (const tab of tabs) {
      if (tab.dataset.view === (ROUTES[name]?.under ?? name)) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
  };
  window.addEventListener("hashchange", mark);
  mark();
  return h("nav.tabs", { "aria-label": text.navigation }, tabs);
}

function header() {
  const { galleries } = session.info;
  // Nobody of this gallery is in the other one.
  const chooser = select(galleries.map((name) => [name, name]), galleryName(), (gallery) =>
    go(place().name === "person" ? "people" : place().name, "", { gallery }));
  chooser.setAttribute("aria-label", text.gallery);
  return h(
    "header.top",
    h("a.brand", { href: link("search"), "aria-label": text.product }, h("img", { src: "assets/mark.svg", alt: "", width: 24, height: 24 }), h("span", text.product)),
    navigation(),
    h(
      "div.tools",
      galleries.length > 1 ? chooser : null,
      may("write") ? undoButton() : null,
      h("a.icon-button", { href: link("history"), title: text.views.history, "aria-label": text.views.history }, icon("history")),
      themeButton(),
      iconButton("help", text.help, showHelp),
    ),
  );
}

/** People, cameras and pictures are others in another gallery. */
function switched() {
  dropAllThumbnails();
  for (const one of [...Object.values(TAKERS), several]) one.reset();
  resetBrowsing();
  forgetUndo();
  fill(top, header());
  restartAlerts();
}

function banner() {
  const element = h("div.banner", { role: "alert", hidden: true });
  connection.addEventListener("lost", () => {
    element.hidden = false;
    fill(element, icon("offline"), h("span", text.connection.lost));
  });
  connection.addEventListener("found", () => {
    element.hidden = true;
    fill(element);
    toast(text.connection.found);
    if (session.info) recover();
    else start();
  });
  return element;
}

const frame = h("div.frame");
const top = h("div.top-frame");

/** Ask who the server is, then show the page; whatever prevents it is said in its place. */
async function start() {
  fill(frame, h("main", loading()));
  try {
    session.info = await api.info();
  } catch (error) {
    fill(frame, h("main", failed(error, start)));
    return;
  }
  const main = startRouter(ROUTES, switched);
  fill(top, header());
  fill(frame, top, main, footer());
  listenToAlerts();
}

const footer = () => h("footer.bottom", h("a", { href: "assets/responsible-use.html" }, text.responsibleUse));

let asking = null;

/** One dialog however many requests need the token at the same time. */
onTokenNeeded(() => {
  asking ??= askToken(async (token) => {
    setToken(token);
    try {
      session.info = await api.info({ asksToken: false });
      fill(top, header()); // another token may do other things
    } catch (error) {
      setToken(null);
      throw error.status === 401 ? new Error(text.token.wrong) : error;
    }
  }).finally(() => {
    asking = null;
  });
  return asking;
});

function listenToPictures() {
  const take = (transfer) => {
    const files = filesOf(transfer);
    if (!files.length || document.querySelector("dialog[open]")) return;
    if (!TAKERS[place().name]) go("search");
    (TAKERS[place().name] ?? search).take(files);
  };
  document.addEventListener("paste", (event) => take(event.clipboardData));
  // Elsewhere than in a place for pictures, the browser would leave the page and open the file.
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer);
  });
}

const skip = h("a.skip", { href: "#content", onclick: (event) => { event.preventDefault(); document.getElementById("content")?.focus(); } }, text.skip);
document.body.append(skip, banner(), frame, toastShelf());
listenToPictures();
listenToKeys(() => TAKERS[place().name]?.submit(), TABS);
watch();
start();
