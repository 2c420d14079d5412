// Alerts of the watch list as they are raised: how many nobody has answered, and who wants to know of a new one.

import { api } from "./api.js";
import { cameraName, clock } from "./format.js";
import { authorisation, galleryName, session } from "./session.js";
import { text } from "./text.js";
import { toast } from "./toasts.js";

const AGAIN_MS = 2000;
const SELDOM_MS = 20_000;

/** Fires "count" and "alert". `count`: alerts that nobody has answered. `raised`: how often "alert" was fired. */
export const alerts = Object.assign(new EventTarget(), { count: 0, raised: 0 });

let running = null; // what ends the stream that is open
let last = ""; // number of the last alert that was told

/** Ask how many are unanswered, after something was answered or ended here. */
export async function recount() {
  const of = galleryName();
  try {
    const { unanswered } = await api.watchAlerts({ limit: 1, open: true });
    if (of !== galleryName()) return;
    alerts.count = unanswered;
    alerts.dispatchEvent(new Event("count"));
  } catch {
    // The view says what is wrong; the next event counts again.
  }
}

const wait = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

/** { id, event, data } of each block as it comes. */
async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield Object.fromEntries(part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  }
}

/** EventSource sends no token: the same with fetch. */
async function listen(signal) {
  while (!signal.aborted) {
    let pause = AGAIN_MS;
    try {
      const headers = authorisation();
      if (last) headers["Last-Event-ID"] = last;
      const address = new URL("v1/watch/events", document.baseURI);
      address.searchParams.set("gallery", galleryName());
      const response = await fetch(address, { headers, signal, cache: "no-store" });
      if (response.ok) for await (const block of blocks(response.body)) take(block);
      else pause = SELDOM_MS; // no token (yet), too many streams: asking at once again would not help
    } catch {
      pause = SELDOM_MS / 4;
    }
    await wait(pause, signal);
  }
}

function raise() {
  alerts.raised += 1;
  alerts.dispatchEvent(new Event("alert"));
}

function take({ id = "", event = "", data = "", retry = "" }) {
  // The stream begins: it does not tell of what was raised before.
  if (retry) raise();
  if (!event) return;
  last = id;
  recount();
  if (event !== "alert") return;
  const { camera, time } = JSON.parse(data);
  toast(text.watch.toast(cameraName(camera), time ? clock(time) : text.noTime));
  raise();
}

/** Listen while the page is looked at: a browser keeps few connections to one server. */
export function listenToAlerts() {
  const turn = () => {
    const wants = document.visibilityState === "visible" && session.info;
    if (wants && !running) begin();
    else if (!wants) stop();
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

function begin() {
  running = new AbortController();
  listen(running.signal);
  recount();
}

function stop() {
  running?.abort();
  running = null;
}

/** Another gallery has another list. */
export function restartAlerts() {
  stop();
  last = "";
  alerts.count = 0;
  begin();
}
