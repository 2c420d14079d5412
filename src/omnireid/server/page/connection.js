// Whether the server answers. While it does not, it is asked again until it does.

const RETRY_MS = 1500;
const WATCH_MS = 20_000;

/** Fires "lost" and "found". */
export const connection = new EventTarget();

let isLost = false;
let timer = 0;

async function answers() {
  try {
    const response = await fetch(new URL("healthz", document.baseURI), { cache: "no-store" });
    return response.ok;
  } catch {
    return false;
  }
}

export function lost() {
  if (isLost) return;
  isLost = true;
  connection.dispatchEvent(new Event("lost"));
  schedule(RETRY_MS);
}

function found() {
  if (!isLost) return;
  isLost = false;
  connection.dispatchEvent(new Event("found"));
}

function schedule(delay) {
  clearTimeout(timer);
  timer = setTimeout(look, delay);
}

async function look() {
  if (isLost || document.visibilityState === "visible") {
    if (await answers()) found();
    else lost();
  }
  schedule(isLost ? RETRY_MS : WATCH_MS);
}

export function watch() {
  window.addEventListener("online", look);
  window.addEventListener("offline", lost);
  schedule(WATCH_MS);
}
