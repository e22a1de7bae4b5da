// Times, keys and what is new. Every page works without it; only the live updates need it.
"use strict";

const ROWS_MOST = 200; // rows that a page keeps
const RETRY_MOST = 15000; // ms between two tries to connect
const HIDDEN_MOST = 60000; // ms after which a page in the background lets its connection go
const body = document.body;
const rows = document.getElementById("rows");
const byId = (id) => document.getElementById(id);

// Times: written in UTC by the relay; here also as an age, and in this browser's zone if wished.

let local = false;
try {
  local = localStorage.getItem("zone") === "local";
} catch {
  // no storage: UTC
}

const two = (number) => String(number).padStart(2, "0");

function exact(date, zone) {
  const get = (name) => (zone === "local" ? date[`get${name}`]() : date[`getUTC${name}`]());
  const day = `${get("FullYear")}-${two(get("Month") + 1)}-${two(get("Date"))}`;
  return [day, `${two(get("Hours"))}:${two(get("Minutes"))}:${two(get("Seconds"))}`];
}

function zoneName(date) {
  if (!local) return "UTC";
  const minutes = -date.getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const size = Math.abs(minutes);
  return `UTC${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function age(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const steps = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  const [, unit, name] = steps.find(([limit]) => seconds < limit);
  const text = `${Math.floor(seconds / unit)} ${name}`;
  if (seconds < 2) return "now";
  return ms < 0 ? `in ${text}` : text;
}

function drawTime(element, now) {
  const date = new Date(element.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const [day, clock] = exact(date, local ? "local" : "utc");
  const [today] = exact(now, local ? "local" : "utc");
  const old = now - date;
  const title = ["utc", "local"].map((zone) => exact(date, zone).join(" "));
  element.title = `${title[0]} UTC, ${title[1]} here`;
  const short = day === today ? clock : `${day.slice(5)} ${clock}`;
  if (element.classList.contains("age")) element.textContent = age(old);
  else if (element.classList.contains("since")) element.textContent = old < 1500 ? "just now" : `for ${age(old)}`;
  else if (element.classList.contains("clock")) element.textContent = short;
  else element.textContent = `${day} ${clock} ${zoneName(date)}`;
  const beside = element.nextElementSibling;
  if (beside && beside.classList.contains("ago")) beside.textContent = old < 0 ? age(old) : `${age(old)}${old < 1500 ? "" : " ago"}`;
}

function drawTimes(within = document) {
  const now = new Date();
  for (const element of within.querySelectorAll("time")) drawTime(element, now);
  for (const element of within.querySelectorAll(".zone")) element.textContent = zoneName(now);
}

function showZone() {
  byId("zone").textContent = local ? "Local time" : "UTC";
}

byId("zone").addEventListener("click", () => {
  local = !local;
  try {
    localStorage.setItem("zone", local ? "local" : "utc");
  } catch {
    // it holds for this page
  }
  showZone();
  drawTimes();
});
byId("zone").hidden = false;
showZone();
drawTimes();
setInterval(() => document.hidden || drawTimes(), 1000);

// What is new.

const asked = new URLSearchParams(location.search);
const waiting = []; // rows that came while the reader was elsewhere on the page; newest first
let missed = 0; // alerts that came and were not sent: there were too many
let perhaps = false; // and some of them may be what a filtered page looks for
let after = Number(body.dataset.after || 0);
let source = null;
let pause = 1000;
let reconnect = 0;

function element(html, kind) {
  const template = document.createElement("template");
  template.innerHTML = kind === "row" ? `<table><tbody>${html}</tbody></table>` : html;
  return kind === "row" ? template.content.querySelector("tr") : template.content;
}

function wanted(row) {
  const priorities = asked.getAll("priority").map((name) => name.toLowerCase());
  if (priorities.length && !priorities.includes(row.dataset.priority.toLowerCase())) return false;
  if (asked.get("until")) return false;
  return ["rule", "source", "host"].every((name) => !asked.get(name) || asked.get(name) === row.dataset[name]);
}

function readerIsElsewhere() {
  const chosen = rows.querySelector(".chosen");
  return window.scrollY > 120 || (chosen && chosen !== rows.firstElementChild) || byId("help").open || body.dataset.live !== "all";
}

function showNews() {
  const bar = byId("news");
  const count = waiting.length + missed;
  bar.hidden = count === 0 && !perhaps;
  bar.textContent = `${count.toLocaleString("en")} new alert${count === 1 ? "" : "s"}${perhaps ? ", perhaps more" : ""}: show`;
  document.title = (count ? `(${count}) ` : "") + document.title.replace(/^\(\d+\) /, "");
}

function insertRows(list, gap) {
  byId("alerts").hidden = false;
  if (byId("empty")) byId("empty").remove();
  if (gap > 0) {
    const oldest = list.length ? list[list.length - 1].dataset.seq : after;
    const note = document.createElement("tr");
    note.className = "gap";
    note.innerHTML = '<td colspan="5"><a></a></td>';
    const link = note.querySelector("a");
    link.href = `/ui?before=${oldest}`;
    link.textContent = `${gap.toLocaleString("en")} more came at the same time: look at them`;
    rows.prepend(note);
  }
  for (const row of list.slice().reverse()) {
    if (byId(row.id)) continue;
    row.classList.add("fresh");
    rows.prepend(row);
  }
  while (rows.children.length > ROWS_MOST) rows.lastElementChild.remove();
  const last = rows.querySelector("tr.alert:last-child");
  const older = byId("older");
  if (older && last) older.href = `/ui?before=${last.dataset.seq}`;
  drawTimes(rows);
}

function takeRows(message) {
  const list = message.rows.map((one) => element(one.html, "row"));
  const gap = message.count - list.length;
  if (readerIsElsewhere()) {
    const matching = body.dataset.live === "bar" ? list.filter(wanted) : list;
    for (const row of matching.reverse()) waiting.unshift(row);
    if (body.dataset.live === "all") missed += gap;
    else perhaps ||= gap > 0;
    missed += waiting.splice(ROWS_MOST).length;
    showNews();
  } else {
    insertRows(list, gap);
  }
}

function takeFates(list) {
  for (const one of list) {
    const row = byId(`a${one.seq}`) || waiting.find((row) => row.dataset.seq === String(one.seq));
    const cell = row ? row.querySelector(".c-fates") : String(one.seq) === body.dataset.one ? byId("fates") : null;
    if (!cell) continue;
    if (row) cell.replaceChildren(element(one.html, ""));
    else cell.replaceChildren(...element(`<table><tbody>${one.html}</tbody></table>`, "").querySelectorAll("tr"));
    if (!one.open) (row || cell).removeAttribute("data-open");
    drawTimes(cell);
  }
}

function take(message) {
  for (const name of ["summary", "outputs"]) {
    const place = byId(name);
    if (place && message[name] !== undefined) {
      place.replaceChildren(element(message[name], ""));
      drawTimes(place);
    }
  }
  if (message.counts !== undefined) {
    const counts = message.counts.split(",");
    document.querySelectorAll("[data-count]").forEach((place, n) => {
      place.textContent = counts[n];
      place.parentElement.classList.toggle("zero", counts[n] === "0");
    });
  }
  if (message.rows && rows) takeRows(message);
  if (message.fates) takeFates(message.fates);
}

function say(state, text) {
  const place = byId("live");
  if (place.dataset.state === state) return;
  place.dataset.state = state;
  place.querySelector(".says").textContent = text;
}

function watched() {
  if (body.dataset.one) return byId("fates").hasAttribute("data-open") ? [body.dataset.one] : [];
  const open = [...rows.querySelectorAll("[data-open]"), ...waiting.filter((row) => row.hasAttribute("data-open"))];
  return open.map((row) => row.dataset.seq).slice(0, 200);
}

function listen() {
  clearTimeout(reconnect);
  if (source) source.close();
  const one = body.dataset.one ? "&one" : "";
  source = new EventSource(`/ui/events?after=${after}&watch=${watched().join(",")}${one}`);
  source.onopen = () => {
    pause = 1000;
    say("on", "live");
  };
  source.onmessage = (event) => {
    after = Number(event.lastEventId);
    take(JSON.parse(event.data));
  };
  source.onerror = () => {
    // Not the browser's own repetition: the rows to watch are others by now.
    source.close();
    say("off", "not connected, trying again");
    clearTimeout(reconnect);
    reconnect = setTimeout(listen, pause);
    pause = Math.min(pause * 2, RETRY_MOST);
    fetch("/ui/events", { method: "HEAD", redirect: "manual" }).then((reply) => {
      if (reply.status === 401) location.assign(`/ui/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    }, () => {});
  };
}

function showWaiting() {
  if (body.dataset.live !== "all" || missed > ROWS_MOST) {
    location.assign(byId("news").href);
    return;
  }
  const list = waiting.splice(0);
  const gap = missed;
  missed = 0;
  choose(null);
  window.scrollTo({ top: 0 });
  insertRows(list, gap);
  showNews();
}

if (body.dataset.live) {
  listen();
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) {
      // Browsers allow six connections to a host: tabs in the background must not use them up.
      hiding = setTimeout(() => {
        clearTimeout(reconnect);
        source.close();
        say("off", "asleep");
      }, HIDDEN_MOST);
    } else if (source.readyState === EventSource.CLOSED) {
      listen();
    }
  });
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => event.persisted && listen());
}
if (byId("news")) {
  byId("news").addEventListener("click", (event) => {
    event.preventDefault();
    showWaiting();
  });
}

// Keys and clicks.

function choose(row) {
  const before = rows.querySelector(".chosen");
  if (before) {
    before.classList.remove("chosen");
    before.removeAttribute("aria-current");
  }
  if (!row) return;
  row.classList.add("chosen");
  row.setAttribute("aria-current", "true");
  row.scrollIntoView({ block: "nearest" });
  row.querySelector(".rule").focus({ preventScroll: true });
}

function step(by) {
  const all = [...rows.querySelectorAll("tr.alert")];
  const at = all.findIndex((row) => row.classList.contains("chosen"));
  choose(all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)]);
}

const help = byId("help");
const keys = {
  j: () => rows && step(1),
  k: () => rows && step(-1),
  n: () => byId("news") && !byId("news").hidden && showWaiting(),
  u: () => byId("back") && location.assign(byId("back").href),
  t: () => globalThis.nextTheme(),
  "/": () => byId("q-rule") && byId("q-rule").focus(),
  "?": () => help.showModal(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (rows) choose(null);
    return;
  }
  if (typing || help.open || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
if (byId("back") && document.referrer.startsWith(`${location.origin}/ui?`)) {
  byId("back").href = document.referrer; // the list as it was filtered
}
byId("help-open").hidden = false;
byId("help-open").addEventListener("click", () => help.showModal());
if (rows) {
  rows.addEventListener("click", (event) => {
    const row = event.target.closest("tr.alert");
    if (!row || event.target.closest("a") || String(getSelection())) return;
    location.assign(row.querySelector(".rule").href);
  });
}
