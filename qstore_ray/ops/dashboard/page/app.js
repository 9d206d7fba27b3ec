// From the address to a view, and from the server's events to what the view shows.

import { h, problem } from "./dom.js";
import { compare, overview, run, search } from "./views.js";

const store = { runs: new Map(), panels: new Map(), curves: new Map() };
const main = document.getElementById("main"), connection = document.getElementById("connection");
const SECTIONS = ["runs", "alerts", "searches", "cluster", "hardware"];
let view = null, source = null, followed = null, waiting = nothing(), drawing = false, routes = 0;

function nothing() {
  return { rows: new Set(), curves: new Set(), panels: new Set(), problems: new Map(), gone: new Set() };
}

/** The view of an address such as `#/run/digits`. */
function viewOf(parts) {
  const [kind, given = ""] = parts;
  if (kind === "run") return run(decodeURIComponent(given));
  if (kind === "search") return search(decodeURIComponent(given));
  if (kind === "compare") return compare(given.split(",").filter(Boolean).map(decodeURIComponent));
  return overview();
}

async function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/");
  const number = ++routes;
  if (!(view?.isOverview && (SECTIONS.includes(parts[0]) || !parts[0]))) {
    let next;
    try {
      next = await viewOf(parts);
    } catch (error) {
      const back = h("p", {}, h("a", { href: "#/" }, "← All runs"));
      next = { title: "Problem", follows: [], changed() {}, element: h("div", {}, back, h("h1", { tabindex: "-1" }, "This cannot be shown"), problem(error.message)) };
    }
    if (number !== routes) return; // another address was opened meanwhile
    const first = view === null;
    view = next;
    view.isOverview = !["run", "search", "compare"].includes(parts[0]);
    document.title = `${view.title} · qstore`;
    main.replaceChildren(view.element);
    waiting = { ...nothing(), rows: new Set(store.runs.keys()), panels: new Set(store.panels.keys()), curves: new Set(store.curves.keys()) };
    draw();
    scrollTo(0, 0);
    if (!first) view.element.querySelector("h1").focus({ preventScroll: true });
  }
  const title = SECTIONS.includes(parts[0]) && document.getElementById(`${parts[0]}-title`);
  if (title) {
    title.scrollIntoView();
    title.focus({ preventScroll: true });
  }
}

/** Show what has come, once a frame, and follow what the view wants to follow. */
function draw() {
  drawing = false;
  if (!view) return;
  const changes = waiting;
  waiting = nothing();
  view.changed(store, changes);
  const wanted = view.follows.join("\n");
  if (wanted !== followed || !source) follow(view.follows);
}

function soon() {
  if (drawing) return;
  drawing = true;
  // A page in the background draws no frames, and is up to date when one comes back to it.
  requestAnimationFrame(draw);
}

function follow(ids) {
  source?.close();
  followed = ids.join("\n");
  source = new EventSource(`/api/events?${ids.map((id) => `id=${encodeURIComponent(id)}`).join("&")}`);
  source.onopen = () => say("live");
  source.onerror = () => {
    say("connection lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(again, 2000); // refused: a 401, or too many
  };
  source.addEventListener("runs", (event) => {
    const { all, rows, gone } = JSON.parse(event.data);
    if (all) {
      const now = new Set(rows.map((row) => row.id));
      for (const id of store.runs.keys()) if (!now.has(id)) gone.push(id);
    }
    for (const row of rows) {
      if (JSON.stringify(store.runs.get(row.id)) === JSON.stringify(row)) continue;
      store.runs.set(row.id, row);
      waiting.rows.add(row.id);
    }
    for (const id of gone) {
      store.runs.delete(id);
      store.curves.delete(id);
      waiting.gone.add(id);
    }
    waiting.rows.reset = true;
    soon();
  });
  source.addEventListener("panel", (event) => {
    const { name, content } = JSON.parse(event.data);
    store.panels.set(name, content);
    waiting.panels.add(name);
    soon();
  });
  source.addEventListener("curves", (event) => {
    const { run: id, every, records } = JSON.parse(event.data);
    const curve = store.curves.get(id) ?? { epochs: new Map(), step: null };
    curve.every = Math.max(every, curve.every ?? 1);
    for (const record of records) {
      if (record.restart !== undefined) {
        for (const epoch of curve.epochs.keys()) if (epoch >= record.restart) curve.epochs.delete(epoch);
      } else if (record.at !== undefined) curve.step = record.step;
      else { curve.epochs.set(record.epoch, record); curve.step = null; }
    }
    store.curves.set(id, curve);
    waiting.curves.add(id);
    soon();
  });
  source.addEventListener("problem", (event) => {
    const { run: id, message } = JSON.parse(event.data);
    waiting.problems.set(id, message);
    soon();
  });
}

async function again() {
  try {
    const answer = await fetch("/api/panel?name=cluster");
    if (answer.status === 401) location.reload(); // the dashboard was started again, with another token
    else follow(view.follows);
  } catch {
    setTimeout(again, 2000);
  }
}

function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.classList.toggle("lost", text !== "live");
}

document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("hashchange", route);
route();
