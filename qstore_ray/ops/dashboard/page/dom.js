// Elements and texts. Text is always set as text: nothing here or elsewhere parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes, listeners as `onclick`, then children; `null` ones are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A number in at most five digits; a dash for none. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Seconds as a person says them. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** A time of a record, in UTC, to the minute. */
export function moment(text) {
  return text ? text.slice(0, 16).replace("T", " ") : "–";
}

/** A time in milliseconds since 1970; one that is no date, of a file that anybody wrote, as it is. */
export function dated(milliseconds) {
  const date = new Date(milliseconds);
  return Number.isNaN(date.valueOf()) ? String(milliseconds) : moment(date.toISOString());
}

/** A score as a percentage if it is a share, with its name if it is not an accuracy. */
export function score(found) {
  if (!found) return "–";
  if (found.name === "accuracy") return `${(100 * found.value).toFixed(2)} %`;
  return `${found.name === "rmse" ? "RMSE" : found.name} ${number(found.value)}`;
}

const SIGNS = {
  running: "●", finished: "✓", failed: "✕", killed: "✕", damaged: "!", interrupted: "‖",
  completed: "✓", pruned: "–", waiting: "○",
};

/** A status as a sign, a word and a colour. */
export function badge(status) {
  const known = status in SIGNS;
  const sign = h("span", { "aria-hidden": "true" }, SIGNS[status] ?? "?");
  return h("span", { class: `badge ${known ? status : ""}` }, sign, ` ${status}`);
}

/** Names and values; empty values are left out. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A table with a caption that screen readers read, in a box that scrolls by itself. */
export function table(caption, head, rows) {
  const right = head.map((_, at) => rows.some((row) => typeof row[at] === "number"));
  const cells = (row) => row.map((cell, at) => {
    const content = typeof cell === "number" ? number(cell) : cell ?? "–";
    return at === 0 ? h("th", { scope: "row" }, content) : h("td", { class: right[at] && "n" }, content);
  });
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    h("table", {},
      h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, head.map((name, at) => h("th", { scope: "col", class: right[at] && "n" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row))))));
}

/** A section under its title. */
export function section(id, title, ...content) {
  return h("section", { id, "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title`, tabindex: "-1" }, title), ...content);
}

/** A message of something that is wrong. */
export function problem(text) {
  return h("p", { class: "problem", role: "alert" }, text);
}

/** The address of a run's own page. */
export function runLink(id, name) {
  return h("a", { href: `#/run/${encodeURIComponent(id)}` }, name);
}

/** Say something to a screen reader. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
