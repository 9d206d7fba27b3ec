// A line chart: axes, a line for each series, a legend, and a cursor for pointer and keyboard.
// The cursor is a slider to assistive technology; below the chart its values are a table.

import { h, number, s, table } from "./dom.js";

const HEIGHT = 240, TOP = 10, RIGHT = 14, BOTTOM = 28;
const MOST_ROWS = 1000;

/** Round numbers that cover a range, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((of) => of * unit).find((each) => each >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
}

export class Chart {
  /** `title` names the chart, `x` what is to the right. */
  constructor(title, x = "epoch") {
    this.title = title;
    this.x = x;
    this.series = [];
    this.at = null;
    this.log = false;
    this.svg = s("svg", { "aria-hidden": "true", height: HEIGHT });
    this.plot = h("div", {
      class: "plot", role: "slider", tabindex: "0", "aria-label": `${title} by ${x}`,
      "aria-orientation": "horizontal", onkeydown: (event) => this.key(event),
      onpointermove: (event) => this.point(event), onpointerleave: () => this.read(null),
    }, this.svg);
    this.legend = h("p", { class: "legend" });
    this.readout = h("p", { class: "readout", "aria-hidden": "true" });
    this.scale = h("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => this.turn() }, "log scale");
    this.values = h("details", { ontoggle: () => this.list() }, h("summary", {}, "Values as a table"), h("div", {}));
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("h3", {}, title), this.scale), this.plot, this.readout, this.legend, this.values);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** Show these series: `{name, points: [[x, y], …]}`, ascending in x. */
  set(series) {
    const before = this.series.map((each) => each.name).join("\n");
    this.series = series;
    if (before !== series.map((each) => each.name).join("\n")) {
      this.legend.replaceChildren(...series.map((each, at) => h("span", {},
        s("svg", { width: 26, height: 10, "aria-hidden": "true" }, s("path", { class: `line s${at % 8}`, d: "M1 5H25" })), each.name)));
    }
    this.xs = [...new Set(series.flatMap((each) => each.points.map(([x]) => x)))].sort((a, b) => a - b);
    this.scale.hidden = !series.some((each) => each.points.length) || series.some((each) => each.points.some(([, y]) => y <= 0));
    if (this.scale.hidden) this.log = false;
    this.draw();
    this.list();
  }

  turn() {
    this.log = !this.log;
    this.scale.setAttribute("aria-pressed", String(this.log));
    this.draw();
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width || !this.xs?.length) {
      this.svg.replaceChildren();
      if (this.xs) this.readout.textContent = "No values yet.";
      return;
    }
    const f = this.log ? Math.log10 : (y) => y;
    const ys = this.series.flatMap((each) => each.points.map(([, y]) => f(y)));
    let low = ys.reduce((a, b) => Math.min(a, b)), high = ys.reduce((a, b) => Math.max(a, b));
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    [low, high] = [low - room, high + room];
    const [first, last] = [this.xs[0], this.xs[this.xs.length - 1]];
    const yTicks = ticks(low, high, 5), said = yTicks.map((y) => number(this.log ? 10 ** y : Number(y.toPrecision(12))));
    const left = 14 + 7.2 * Math.max(...said.map((text) => text.length));
    this.toX = (x) => last === first ? (left + width - RIGHT) / 2 : left + ((x - first) / (last - first)) * (width - left - RIGHT);
    const toY = (y) => TOP + ((high - f(y)) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const raw = (y) => (this.log ? 10 ** y : y);
    const xTicks = ticks(first, last, Math.max(2, width / 90)).filter((x) => Number.isInteger(x) || this.x !== "epoch");
    this.mark = s("path", { class: "cursor" });
    this.svg.setAttribute("width", width);
    this.svg.replaceChildren(
      ...yTicks.map((y) => s("path", { class: "grid", d: `M${left} ${toY(raw(y))}H${width - RIGHT}` })),
      ...yTicks.map((y, at) => s("text", { x: left - 8, y: toY(raw(y)) + 4, "text-anchor": "end" }, said[at])),
      ...xTicks.map((x) => s("text", { x: this.toX(x), y: HEIGHT - 9, "text-anchor": "middle" }, number(x))),
      ...this.series.map((each, at) => drawn(each.points, this.toX, toY, `line s${at % 8}`, width)), this.mark);
    this.plot.setAttribute("aria-valuemin", first);
    this.plot.setAttribute("aria-valuemax", last);
    this.read(this.at);
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.xs?.length) return;
    event.preventDefault();
    const last = this.xs.length - 1;
    const from = this.at === null ? last : this.xs.indexOf(this.at);
    this.read(this.xs[Math.max(0, Math.min(last, from + steps[event.key]))]);
  }

  point(event) {
    if (!this.xs?.length || !this.toX) return;
    const at = event.clientX - this.plot.getBoundingClientRect().left;
    this.read(this.xs.reduce((a, b) => (Math.abs(this.toX(b) - at) < Math.abs(this.toX(a) - at) ? b : a)));
  }

  /** Put the cursor at an x, null for the last one without a mark, and say its values. */
  read(x) {
    if (!this.xs?.length) return;
    if (x !== null && !this.xs.includes(x)) x = null;
    this.at = x;
    const shown = x ?? this.xs[this.xs.length - 1];
    const values = this.series.flatMap((each) => {
      const found = each.points.find(([at]) => at === shown);
      return found ? [`${each.name} ${number(found[1])}`] : [];
    });
    const text = `${this.x} ${number(shown)}: ${values.join(", ")}`;
    this.readout.textContent = text;
    this.plot.setAttribute("aria-valuenow", shown);
    this.plot.setAttribute("aria-valuetext", text);
    if (x === null) this.mark?.removeAttribute("d");
    else this.mark?.setAttribute("d", `M${this.toX(x)} ${TOP}V${HEIGHT - BOTTOM}`);
  }

  list() {
    if (!this.values.open || !this.xs) return;
    const columns = this.series.map((each) => new Map(each.points));
    const rows = this.xs.slice(-MOST_ROWS).map((x) => [number(x), ...columns.map((column) => column.get(x) ?? null)]);
    const said = this.xs.length > MOST_ROWS ? [h("p", { class: "muted" }, `The last ${MOST_ROWS} of ${number(this.xs.length)}.`)] : [];
    this.values.lastChild.replaceChildren(...said, table(`${this.title} by ${this.x}`, [this.x, ...this.series.map((each) => each.name)], rows));
  }
}

/** A line, or a dot for one point. Of many points the lowest and the highest of each pixel are drawn. */
function drawn(points, toX, toY, kind, width) {
  if (points.length === 1) return s("circle", { class: `${kind} dot`, cx: toX(points[0][0]), cy: toY(points[0][1]), r: 3.5 });
  let kept = points;
  if (points.length > 3 * width) {
    const size = Math.ceil(points.length / width);
    kept = [];
    for (let start = 0; start < points.length; start += size) {
      const part = points.slice(start, start + size).sort((a, b) => a[1] - b[1]);
      kept.push(...[part[0], part[part.length - 1]].sort((a, b) => a[0] - b[0]));
    }
  }
  return s("path", { class: kind, d: kept.map(([x, y], at) => `${at ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("") });
}
