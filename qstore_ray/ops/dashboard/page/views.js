// The pages behind the addresses: the overview, a run, a search, a comparison.
// A view is {title, element, follows: [id, …], changed(store, changes)}.

import { Chart } from "./chart.js";
import { announce, badge, duration, facts, h, moment, number, problem, runLink, score, section, table } from "./dom.js";
import { alertsOf, PANELS, trials } from "./panels.js";
import { RunTable } from "./runs.js";

const MOST_LIVE = 6, READ_AGAIN = 5000;
const TITLES = { alerts: "Alerts", searches: "Searches", cluster: "Cluster", hardware: "Hardware jobs and budget" };

/** What the server answers as JSON; its error is thrown with its own words. */
export async function get(path) {
  const answer = await fetch(path);
  const content = await answer.json();
  if (answer.ok) return content;
  if (answer.status === 401) location.reload();
  throw new Error([content.detail?.message, content.detail?.fix].filter(Boolean).join(". "));
}

/** The points of a metric of a run, by how many epochs had been completed, as figures count them. */
function points(curve, metric) {
  if (!curve) return [];
  return [...curve.epochs.values()].filter((epoch) => typeof epoch[metric] === "number").map((epoch) => [epoch.epoch + 1, epoch[metric]]).sort((a, b) => a[0] - b[0]);
}

/** The metrics of runs in the order in which they matter, without what counts up. */
function metricsOf(curves) {
  const first = ["val_loss", "train_loss", "val_accuracy", "train_accuracy"];
  const found = new Set(curves.flatMap((curve) => (curve ? [...curve.epochs.values()].flatMap((epoch) => Object.keys(epoch)) : [])));
  for (const name of ["epoch", "step", "samples"]) found.delete(name);
  return [...first.filter((name) => found.has(name)), ...[...found].filter((name) => !first.includes(name)).sort()];
}

/** Metrics of train and val with the same name share a chart. */
function groups(metrics) {
  const by = new Map();
  for (const name of metrics) {
    const stem = name.replace(/^(train|val)_/, "");
    by.set(stem, [...(by.get(stem) ?? []), name]);
  }
  return by;
}

const heading = (...content) => h("h1", { tabindex: "-1" }, ...content);
const back = () => h("p", {}, h("a", { href: "#/" }, "← All runs"));

export function overview() {
  const runs = new RunTable(), live = h("div", { class: "cards" }), cards = new Map();
  const boxes = Object.fromEntries(Object.keys(TITLES).map((name) => [name, h("div", {}, h("p", { class: "muted" }, "…"))]));
  const trouble = h("div"), running = section("live", "In progress", live);
  running.hidden = true;
  const { alerts, ...others } = Object.fromEntries(Object.entries(TITLES).map(([name, title]) => [name, section(name, title, boxes[name])]));
  const element = h("div", {}, heading("Runs"), trouble, alerts, running, section("runs", "All runs", runs.element), ...Object.values(others));
  const view = {
    title: "Runs", element, follows: [],
    changed(store, { rows, curves, panels }) {
      if (rows.size || rows.reset) runs.update(store.runs, rows);
      const open = [...store.runs.values()].filter((row) => row.status === "running").sort((a, b) => (a.started < b.started ? 1 : -1)).slice(0, MOST_LIVE);
      view.follows = open.map((row) => row.id);
      running.hidden = !open.length;
      for (const [id, card] of cards) if (!view.follows.includes(id)) { card.element.remove(); cards.delete(id); }
      for (const row of open) {
        if (!cards.has(row.id)) { cards.set(row.id, liveCard(row)); live.append(cards.get(row.id).element); }
        if (rows.has(row.id) || curves.has(row.id)) cards.get(row.id).show(row, store.curves.get(row.id));
      }
      for (const name of panels) {
        const content = store.panels.get(name);
        if (name === "storage") trouble.replaceChildren(...(content.problem ? [problem(content.problem)] : []));
        else if (boxes[name]) {
          if (name === "alerts" && content.open?.length) announce(`${content.open.length} alert${content.open.length === 1 ? " is" : "s are"} open.`);
          const opened = [...boxes[name].querySelectorAll("details")].map((each) => each.open);
          boxes[name].replaceChildren(...(content.problem && !content.running ? [problem(content.problem)] : PANELS[name](content)).filter(Boolean));
          boxes[name].querySelectorAll("details").forEach((each, at) => { each.open = opened[at] ?? false; });
        }
      }
    },
  };
  return view;
}

function liveCard(row) {
  const chart = new Chart("loss"), said = h("p"), bar = h("progress", { "aria-label": `Epochs of ${row.name}` });
  const element = h("article", { class: "card", "aria-label": `Run ${row.name}` }, h("h3", { class: "name" }, runLink(row.id, row.name)), said, bar, chart.element);
  return {
    element,
    show(now, curve) {
      const step = curve?.step ? `, step ${number(curve.step)}` : "";
      said.textContent = `epoch ${number(now.epochs)} of ${now.planned ? number(now.planned) : "?"}${step}; validation ${score(now.val)}`;
      if (now.planned) { bar.max = now.planned; bar.value = now.epochs; }
      const names = metricsOf([curve]).filter((name) => /^(val|train)_loss$/.test(name));
      chart.set(names.map((name) => ({ name, points: points(curve, name) })));
    },
  };
}

export async function run(id) {
  const found = await get(`/api/run?id=${encodeURIComponent(id)}`);
  const head = h("div"), main = h("div", { class: "charts" }), more = h("div", { class: "charts" }), charts = new Map();
  const rest = h("details", { hidden: true }, h("summary", {}, "More curves"), more);
  const empty = h("p", { class: "muted" }, "No epoch has ended yet.");
  const file = (name) => `/api/file?id=${encodeURIComponent(id)}&name=${encodeURIComponent(name)}`;
  const trouble = h("div"), warned = h("div"), lost = h("div"), rests = h("div");
  const element = h("div", {}, back(), head, lost, warned, trouble, section("curves", "Curves", empty, main, rest), rests);
  rests.append(details(found, file));
  /** What is no event: files, checkpoints and the last metrics, when the run went on. */
  const again = async () => {
    const now = await get(`/api/run?id=${encodeURIComponent(id)}`).catch(() => null); // it may be gone
    if (now && !rests.contains(document.activeElement)) rests.replaceChildren(details(now, file));
  };
  let at = performance.now(); // which no setting of the clock changes
  const view = {
    title: found.name, element, follows: [id],
    changed(store, { rows, curves, panels, problems, gone }) {
      if (gone.has(id)) lost.replaceChildren(problem("This run is no longer there: its folder was deleted or moved. What is shown here is what was known of it."));
      else if (rows.has(id) || curves.has(id)) lost.replaceChildren();
      if (panels.has("alerts")) warned.replaceChildren(...alertsOf(store.panels.get("alerts"), id));
      const row = store.runs.get(id) ?? found;
      if (rows.has(id) && head.hasChildNodes() && (row.status !== "running" || performance.now() - at > READ_AGAIN)) {
        at = performance.now();
        again();
      }
      if (rows.has(id) || !head.hasChildNodes()) head.replaceChildren(...top(row, found));
      if (problems.has(id)) trouble.replaceChildren(problem(`metrics.jsonl: ${problems.get(id)}`));
      if (!curves.has(id)) return;
      const curve = store.curves.get(id);
      const by = groups(metricsOf([curve]));
      empty.hidden = by.size > 0 && curve.every === 1;
      if (by.size) empty.textContent = `Of so many epochs, one of ${curve.every} is shown.`;
      for (const [stem, names] of by) {
        if (!charts.has(stem)) {
          charts.set(stem, new Chart(stem.replaceAll("_", " ")));
          (names.length > 1 || stem === "loss" || stem === "accuracy" ? main : more).append(charts.get(stem).element);
        }
        charts.get(stem).set(names.map((name) => ({ name, points: points(curve, name) })));
      }
      rest.hidden = !more.hasChildNodes();
    },
  };
  return view;
}

function top(row, found) {
  const tiles = [["validation", row.val], ["test", row.test]].filter(([, value]) => value);
  return [
    heading(row.name, " ", badge(row.status)),
    row.problem ? problem(row.problem) : null,
    h("div", { class: "tiles" }, ...tiles.map(([name, value]) => h("p", { class: "tile" }, h("span", { class: "muted" }, name), h("b", {}, score(value)))),
      h("p", { class: "tile" }, h("span", { class: "muted" }, "epochs"), h("b", {}, `${number(row.epochs)}${row.planned ? ` of ${number(row.planned)}` : ""}`)),
      h("p", { class: "tile" }, h("span", { class: "muted" }, "time"), h("b", {}, duration(row.seconds)))),
    facts([["started (UTC)", moment(row.started)], ["folder", found.folder], ["attempts", number(found.attempts)], ["ended because", found.reason], ["verdict", found.verdict], ["fell back", found.fallbacks.join("; ")]]),
  ].filter(Boolean);
}

function details(found, file) {
  const kept = found.checkpoints.map((each) => [each.name, each.step, each.epoch, each.problem ? `damaged: ${each.problem}` : "sound"]);
  const hardware = found.hardware && Object.entries(found.hardware).map(([name, value]) => [name.replace("_", " "), number(value)]);
  const report = found.report && h("p", {}, h("a", { href: file(found.report), target: "_blank", rel: "noreferrer" }, "Open the report of this run"), ", with scores by class, the circuit, and where it ran.");
  return h("div", {},
    found.figures.length || report ? section("figures", "Report and figures", report,
      h("div", { class: "figures" }, found.figures.map((name) => h("a", { href: file(name), target: "_blank", rel: "noreferrer" },
        h("img", { src: file(name), loading: "lazy", alt: `${name.replace(/\.\w+$/, "").replaceAll("_", " ")} of ${found.name}` }))))) : null,
    section("metrics", "Metrics", ...metrics(found)),
    hardware ? section("cost", "Paid hardware", facts(hardware)) : null,
    section("checkpoints", "Checkpoints", kept.length ? table("Checkpoints", ["name", "step", "epochs", "state"], kept) : h("p", { class: "muted" }, "none")),
    section("configuration", "Configuration", found.config_problem ? problem(found.config_problem) : null,
      h("div", { class: "config" }, found.config.map((part) => h("div", {}, h("h3", {}, part.table), facts(part.fields))))),
    section("made-of", "Made of", facts([...Object.entries(found.fingerprints).map(([name, value]) => [`${name} fingerprint`, h("code", {}, value)]), ...Object.entries(found.versions)])));
}

/** The last known metrics: a row for each score, a column for each of the parts that have it. */
function metrics(found) {
  const every = { ...found.metrics, ...Object.fromEntries(Object.entries(found.missing).map(([name, why]) => [name, `not defined: ${why}`])) };
  const rows = new Map(), rest = [];
  for (const [name, value] of Object.entries(every)) {
    const [, part, stem] = name.match(/^(train|val|test|baseline|majority)_(.*)$/) ?? [];
    if (part && stem !== "seconds") rows.set(stem, { ...rows.get(stem), [part]: value });
    else rest.push([name.replaceAll("_", " "), typeof value === "number" ? number(value) : value]);
  }
  const parts = ["train", "val", "test", "baseline", "majority"].filter((part) => [...rows.values()].some((row) => part in row));
  if (!rows.size && !rest.length) return [h("p", { class: "muted" }, "none")];
  return [
    rows.size ? table("Last known metrics", ["", ...parts], [...rows].map(([stem, row]) => [stem.replaceAll("_", " "), ...parts.map((part) => row[part] ?? null)])) : null,
    rest.length ? facts(rest) : null,
  ].filter(Boolean);
}

export async function search(id) {
  const found = await get(`/api/search?id=${encodeURIComponent(id)}`);
  const best = found.best.map((trial) => `trial ${trial.number}`).join(", ");
  const element = h("div", {}, back(), heading(found.name, " ", badge(found.running ? "running" : "finished")),
    found.problem ? problem(found.problem) : null,
    facts([["objectives", Object.entries(found.objectives).map(([metric, way]) => `${metric}, ${way}`).join("; ")], ["trials", found.counts], ["best", best]]),
    section("trials", "Trials", found.listed.length ? trials(found) : h("p", { class: "muted" }, "none")));
  return { title: found.name, element, follows: [], changed() {} };
}

export async function compare(ids) {
  const query = ids.map((id) => `id=${encodeURIComponent(id)}`).join("&");
  const problems = [];
  const found = await get(`/api/compare?${query}`).catch((error) => { problems.push(problem(error.message)); return null; });
  const names = new Map(ids.map((id, at) => [id, found?.runs[at].name ?? decodeURIComponent(id)]));
  const pick = h("select", { id: "metric", onchange: () => show() }), chart = new Chart("val_loss");
  let store = null;
  const show = () => {
    const metrics = metricsOf(ids.map((id) => store.curves.get(id)));
    if ([...pick.options].map((option) => option.value).join() !== metrics.join()) {
      const before = pick.value;
      pick.replaceChildren(...metrics.map((name) => h("option", { value: name }, name)));
      if (metrics.includes(before)) pick.value = before;
    }
    chart.title = pick.value;
    chart.element.querySelector("h3").textContent = pick.value || "no values yet";
    chart.plot.setAttribute("aria-label", `${pick.value} by epoch`);
    chart.set(ids.map((id) => ({ name: names.get(id), points: points(store.curves.get(id), pick.value) })));
  };
  const columns = ["", ...names.values()];
  const star = (name, value) => (value === null ? "–" : `${number(value)}${value === found.best[name] ? " ★" : ""}`);
  const element = h("div", {}, back(), heading(`Comparison of ${ids.length} runs`), ...problems,
    section("curves", "Curves", h("p", { class: "tools" }, h("label", { for: "metric" }, "Metric"), pick), chart.element),
    found && section("metrics", "Metrics, the best with a star", table("Metrics side by side", columns, [
      ["status", ...found.runs.map((row) => badge(row.status))],
      ...Object.entries(found.metrics).map(([name, values]) => [name, ...values.map((value) => star(name, value))])])),
    found && section("settings", "Settings that differ", Object.keys(found.settings).length
      ? table("Settings that differ", columns, Object.entries(found.settings).map(([name, values]) => [name, ...values]))
      : h("p", { class: "muted" }, "The settings are the same.")));
  return {
    title: "Comparison", element, follows: ids,
    changed(now, { curves }) {
      store = now;
      if (ids.some((id) => curves.has(id))) show();
    },
  };
}
