// The table of runs: sorted by a click on a column, filtered by words, updated row by row.

import { announce, badge, duration, h, moment, number, runLink, score } from "./dom.js";

const MOST_ROWS = 2000, AT_ONCE = 200, MOST_COMPARED = 8;

const COLUMNS = [
  { key: "name", title: "name", value: (row) => row.name, cell: (row) => runLink(row.id, row.name) },
  { key: "status", title: "status", value: (row) => row.status, cell: (row) => badge(row.status) },
  { key: "epochs", title: "epochs", numeric: true, value: (row) => row.epochs, cell: (row) => `${number(row.epochs)}${row.planned ? `/${number(row.planned)}` : ""}` },
  { key: "val", title: "validation", numeric: true, value: (row) => row.val?.value, cell: (row) => score(row.val) },
  { key: "test", title: "test", numeric: true, value: (row) => row.test?.value, cell: (row) => score(row.test) },
  { key: "started", title: "started (UTC)", value: (row) => row.started, cell: (row) => moment(row.started) },
  { key: "seconds", title: "time", numeric: true, value: (row) => row.seconds, cell: (row) => duration(row.seconds) },
  { key: "qpu_seconds", title: "QPU seconds", numeric: true, value: (row) => row.qpu_seconds, cell: (row) => number(row.qpu_seconds) },
];

const ORDER = new Intl.Collator("en", { numeric: true });

export class RunTable {
  constructor() {
    this.rows = new Map();
    this.chosen = new Set();
    this.sort = { key: "started", down: true };
    this.words = [];
    this.filter = h("input", { type: "search", id: "filter", placeholder: "digits finished", "aria-describedby": "filter-help", oninput: () => this.narrow() });
    this.count = h("p", { class: "muted", role: "status" });
    this.compare = h("button", { type: "button", disabled: true, onclick: () => this.open() }, "Compare");
    this.head = h("tr");
    this.body = h("tbody");
    this.element = h("div", {},
      h("div", { class: "tools" },
        h("label", { for: "filter" }, "Filter"), this.filter,
        h("span", { class: "muted", id: "filter-help" }, "words of a name or a status, all of which must occur"),
        this.compare),
      this.count,
      h("div", { class: "scroll tall", role: "region", tabindex: "0", "aria-label": "Table of runs" },
        h("table", { class: "runs" }, h("caption", { class: "hidden" }, "Runs; the headings are buttons that sort"), h("thead", {}, this.head), this.body)));
  }

  /** Show these rows, `Map` of id → row, of which the ids in `changed` are new or others. */
  update(rows, changed) {
    const columns = COLUMNS.filter((each) => each.key !== "qpu_seconds" || [...rows.values()].some((row) => row.qpu_seconds !== null));
    if (columns.length !== this.columns?.length) {
      this.columns = columns;
      this.rows.clear();
      this.heading();
      changed = new Set(rows.keys());
    }
    for (const id of this.rows.keys()) if (!rows.has(id)) { this.rows.delete(id); this.chosen.delete(id); }
    for (const id of changed) if (rows.has(id)) this.write(id, rows.get(id));
    this.arrange();
  }

  write(id, row) {
    const known = this.rows.get(id);
    const cells = this.columns.map((column, at) => {
      const content = column.cell(row);
      const extra = at === 0 && row.problem ? [h("span", { class: "note" }, row.problem)] : [];
      return at === 0 ? h("th", { scope: "row" }, content, ...extra) : h("td", { class: column.numeric && "n" }, content);
    });
    const box = known?.box ?? h("input", { type: "checkbox", "aria-label": `Choose ${row.name} for comparison`, onchange: (event) => this.choose(id, event.target.checked) });
    const line = known?.line ?? h("tr", {}, h("td", { class: "box" }, box));
    const focused = known && line.querySelector("a") === document.activeElement;
    while (line.children.length > 1) line.lastChild.remove();
    line.append(...cells);
    if (focused) line.querySelector("a").focus();
    this.rows.set(id, { row, line, box, text: `${row.name} ${row.status}`.toLowerCase() });
  }

  heading() {
    const cells = this.columns.map((column) => {
      const active = this.sort.key === column.key;
      const sign = active ? (this.sort.down ? " ▾" : " ▴") : "";
      return h("th", { scope: "col", class: column.numeric && "n", "aria-sort": active && (this.sort.down ? "descending" : "ascending") },
        h("button", { type: "button", id: `sort-${column.key}`, onclick: () => this.order(column.key) }, column.title, h("span", { "aria-hidden": "true" }, sign)));
    });
    this.head.replaceChildren(h("td", { class: "box" }, h("span", { class: "hidden" }, "choose")), ...cells);
  }

  order(key) {
    const first = ["val", "test", "started", "epochs", "seconds", "qpu_seconds"].includes(key);
    this.sort = { key, down: this.sort.key === key ? !this.sort.down : first };
    this.heading();
    this.arrange();
    document.getElementById(`sort-${key}`).focus();
    announce(`Sorted by ${key}, ${this.sort.down ? "descending" : "ascending"}.`);
  }

  narrow() {
    this.words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.arrange();
  }

  /** Bring the lines into their order; lines that are in place are not touched. */
  arrange() {
    const { value } = COLUMNS.find((column) => column.key === this.sort.key);
    const way = this.sort.down ? -1 : 1;
    const shown = [...this.rows.values()].filter(({ text }) => this.words.every((word) => text.includes(word)));
    shown.sort((a, b) => {
      const [x, y] = [value(a.row), value(b.row)];
      if ((x ?? "") === (y ?? "")) return ORDER.compare(a.row.name, b.row.name);
      if (x === null || x === undefined || x === "") return 1;
      if (y === null || y === undefined || y === "") return -1;
      return way * (typeof x === "number" ? x - y : ORDER.compare(x, y));
    });
    const lines = shown.slice(0, MOST_ROWS).map(({ line }) => line);
    const kept = new Set(lines);
    for (const line of [...this.body.children]) if (!kept.has(line)) line.remove();
    clearTimeout(this.pending);
    this.place(lines, 0);
    const more = shown.length > MOST_ROWS ? `, the first ${number(MOST_ROWS)} are shown` : "";
    this.count.textContent = this.rows.size ? `${number(shown.length)} of ${number(this.rows.size)} runs${more}` : "There are no runs here yet.";
  }

  /** Put lines into their places from `from` on, some at a time: the first are seen at once. */
  place(lines, from) {
    const focused = document.activeElement;
    let here = this.body.children[from] ?? null;
    for (const line of lines.slice(from, from + AT_ONCE)) {
      if (line === here) here = here.nextElementSibling;
      else this.body.insertBefore(line, here);
    }
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus();
    if (from + AT_ONCE < lines.length) this.pending = setTimeout(() => this.place(lines, from + AT_ONCE));
  }

  choose(id, wanted) {
    if (wanted) this.chosen.add(id);
    else this.chosen.delete(id);
    const count = this.chosen.size;
    this.compare.disabled = count < 2 || count > MOST_COMPARED;
    this.compare.textContent = count > MOST_COMPARED ? `Compare at most ${MOST_COMPARED}` : count ? `Compare ${count} run${count === 1 ? "" : "s"}` : "Compare";
  }

  open() {
    location.hash = `#/compare/${[...this.chosen].map(encodeURIComponent).join(",")}`;
  }
}
