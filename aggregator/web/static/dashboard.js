// Keeps a page current: relative times, and the parts marked data-live when the aggregator tells of news.
// Without this script everything works, after a reload.

const REFRESH_AFTER = 250; // ms; many messages become one refresh
const HEARTBEATS_AFTER = 4000; // a fleet's heartbeats never cease
const TIMES_EVERY = 5000;
const REFRESH_EVERY = 20000; // silence is news too: a node's state ages without any message

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function relative(seconds) {
  const past = seconds > -1;
  const [size, unit] = units.find(([size]) => Math.abs(seconds) >= size) ?? [1, "s"];
  const words = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return past ? `${words} ago` : `in ${words}`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[data-at]")) {
    const words = relative(Date.now() / 1000 - Number(time.dataset.at));
    if (time.textContent !== words) time.textContent = words;
  }
}

function isBusy(part) {
  if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return true;
  return [...part.querySelectorAll("input:not([type=hidden]), textarea")].some(
    (field) => (field.type === "radio" ? field.checked : field.value !== field.defaultValue),
  );
}

// What the visitor did to a part stays: opened details, and the focus.
function replace(part, fresh) {
  if (isBusy(part) || part.dataset.text === fresh.innerHTML) return;
  const opened = new Map([...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
  const focused = part.contains(document.activeElement) ? address(document.activeElement) : null;
  part.dataset.text = fresh.innerHTML;
  part.replaceChildren(...fresh.cloneNode(true).childNodes);
  for (const [id, open] of opened) {
    const one = part.querySelector(`#${CSS.escape(id)}`);
    if (one) one.open = open;
  }
  if (focused) part.querySelector(focused)?.focus({ preventScroll: true });
}

function address(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  if (href) return `a[href="${CSS.escape(href)}"]`;
  const details = element.closest("details[id]");
  return details && element.matches("summary") ? `#${CSS.escape(details.id)} > summary` : null;
}

async function refresh() {
  if (document.hidden || !document.querySelector("[data-live]")) return;
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok || new URL(answer.url).pathname !== location.pathname) return; // logged out or gone
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) replace(part, fresh);
  }
  tellTimes();
}

let planned = 0;
let plannedFor = Infinity;
function plan(after = REFRESH_AFTER) {
  const at = Date.now() + after;
  if (plannedFor <= at) return;
  clearTimeout(planned);
  plannedFor = at;
  planned = setTimeout(() => {
    plannedFor = Infinity;
    refresh().catch(() => show("off", "Not connected"));
  }, after);
}

function show(state, words) {
  const live = document.getElementById("live");
  if (!live || live.dataset.state === state) return;
  live.dataset.state = state;
  live.lastElementChild.textContent = words;
}

function toast(finding) {
  const toasts = document.getElementById("toasts");
  const note = document.createElement("a");
  note.className = `toast is-${finding.severity}`;
  note.href = `/findings/${encodeURIComponent(finding.id)}`;
  const severity = document.createElement("b");
  severity.textContent = finding.severity;
  const title = document.createElement("span");
  title.textContent = finding.title;
  note.append(severity, title);
  toasts.prepend(note);
  while (toasts.children.length > 3) toasts.lastElementChild.remove();
  setTimeout(() => note.remove(), 8000);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  source.onopen = () => {
    show("on", "Live");
    plan(); // what came while nobody listened
  };
  source.onerror = () => show("off", "Not connected");
  for (const topic of ["finding", "profile", "policy", "status", "lost"]) source.addEventListener(topic, () => plan());
  source.addEventListener("node", () => plan(HEARTBEATS_AFTER));
  source.addEventListener("finding", (message) => {
    const finding = JSON.parse(message.data);
    if (finding.title && !finding.triage && !location.pathname.endsWith(finding.id)) toast(finding);
  });
}

document.getElementById("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  if (document.documentElement.dataset.storage !== "none") localStorage.setItem("theme", next);
});

setInterval(tellTimes, TIMES_EVERY);
if (document.body.classList.contains("in")) {
  listen();
  setInterval(plan, REFRESH_EVERY);
}
