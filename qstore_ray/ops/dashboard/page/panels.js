// What stands beside the runs: alerts, searches, the cluster, jobs on paid hardware.

import { badge, dated, duration, h, moment, number, problem, runLink, table } from "./dom.js";

const NONE = { searches: "There are no searches here.", hardware: "There are no jobs on paid hardware." };
const muted = (text) => h("p", { class: "muted" }, text);

/** The elements of a panel's content. */
export const PANELS = {
  alerts(found) {
    const time = (seconds) => (seconds ? dated(1000 * seconds) : "–");
    const rows = (alerts) => alerts.map((each) => [runLink(each.id, each.run), severity(each), each.rule.replaceAll("_", " "), saying(each), time(each.opened), ...(each.closed ? [time(each.closed)] : [])]);
    const head = ["run", "severity", "rule", "what is wrong", "since (UTC)"];
    return [
      found.open.length ? table("Open alerts", head, rows(found.open)) : muted("No alert is open."),
      found.closed.length ? h("details", {}, h("summary", {}, `Closed alerts, the latest first (${number(found.closed.length)})`), table("Closed alerts", [...head, "until (UTC)"], rows(found.closed))) : null,
      found.damaged ? problem(`${number(found.damaged)} lines of alerts.jsonl are damaged and were passed over.`) : null,
    ];
  },

  searches({ searches }) {
    if (!searches.length) return [muted(NONE.searches)];
    return [table("Searches", ["name", "state", "objectives", "trials", "best"], searches.map((each) => [
      h("a", { href: `#/search/${encodeURIComponent(each.id)}` }, each.name),
      each.problem ? h("span", { class: "note" }, each.problem) : badge(each.running ? "running" : "finished"),
      Object.entries(each.objectives).map(([metric, way]) => `${metric}, ${way}`).join("; "),
      each.counts || number(each.trials),
      each.best.map((trial) => `${objectives(trial)} in trial ${trial.number}`).join("; ") || "–",
    ]))];
  },

  cluster(found) {
    if (!found.running) {
      if (!found.other) return [muted("No Ray cluster runs on this machine.")];
      return [h("p", {}, "A Ray that was not started by this program runs on this machine: ", outside(found.other), ".")];
    }
    const percent = (part, all) => (part && all ? `${number(part / 2 ** 30)} of ${number(all / 2 ** 30)} GiB` : "–");
    return [
      h("p", {}, `Ray ${found.ray} at ${found.address}, ${found.nodes} node${found.nodes === 1 ? "" : "s"}, ${found.cpus} CPU${found.cpus === 1 ? "" : "s"}. `, outside(found.dashboard, "Ray's own page"), ", which asks for the cluster's token."),
      found.problem ? problem(found.problem) : null,
      found.machines.length ? table("Nodes of the cluster", ["node", "state", "CPU in use", "memory in use", "workers"], found.machines.map((node) => [
        node.address + (node.is_head ? " (head)" : ""), node.state.toLowerCase(), node.cpu_percent === null ? "–" : `${number(node.cpu_percent)} %`, percent(node.memory_used_bytes, node.memory_bytes), node.workers,
      ])) : null,
      found.jobs.length ? table("Jobs of the cluster", ["job", "status", "started (UTC)", "command"], found.jobs.map((job) => [
        job.id, job.status.toLowerCase(), job.started ? dated(job.started) : "–", job.entrypoint || "a driver that joined",
      ])) : null,
    ];
  },

  hardware(found) {
    if (!found.ledgers.length) return [muted(NONE.hardware)];
    return [
      table("Paid hardware by run", ["run", "device", "jobs", "open", "executions", "billed seconds", "of them forecast", "money", "budget"], found.ledgers.map((each) => each.jobs === undefined
        ? [each.run, h("span", { class: "note" }, each.problem)]
        : [each.run, each.backend, each.jobs, each.open, each.executions, each.seconds, each.pending_seconds, each.money, budget(each)])),
      found.jobs.length ? h("details", {}, h("summary", {}, `Jobs, the latest first (${number(found.jobs.length)}${found.more ? ` of ${number(found.jobs.length + found.more)}` : ""})`),
        table("Jobs on paid hardware", ["tag", "run", "state", "job", "executions", "seconds", "changed (UTC)", "reason"], found.jobs.map((job) => [
          job.tag, job.run, job.state.replace("_", " "), job.job || "–", job.executions, job.seconds, moment(job.changed), job.reason || "–",
        ]))) : null,
    ];
  },
};

function severity(alert) {
  return h("span", { class: `severity ${{ critical: "critical", warning: "warning" }[alert.severity] ?? ""}` }, alert.severity);
}

function saying(alert) {
  return h("div", {}, alert.message, alert.fix ? h("span", { class: "muted" }, ` ${alert.fix}`) : null);
}

/** The open alerts of one run as messages. */
export function alertsOf(content, id) {
  const found = content?.open?.filter((each) => each.id === id) ?? [];
  return found.map((each) => h("div", { class: "problem" }, severity(each), ` ${each.rule.replaceAll("_", " ")}: `, saying(each)));
}

/** The objectives of a trial as text. */
export function objectives(trial) {
  return Object.entries(trial.objectives).map(([metric, value]) => `${metric} ${number(value)}`).join(", ");
}

/** How much of each limit is used: bars with their numbers. */
function budget(ledger) {
  const limits = Object.entries(ledger.budget);
  if (!limits.length) return "no limit known";
  return h("div", {}, limits.map(([name, most]) => {
    const used = ledger[name] ?? 0;
    const said = `${number(used)} of ${number(most)} ${name}`;
    return h("p", { class: "budget" }, h("meter", { min: 0, max: most, high: 0.9 * most, optimum: 0, value: used, "aria-label": said }), ` ${said}`);
  }));
}

function outside(url, text = url) {
  return h("a", { href: url, target: "_blank", rel: "noreferrer" }, text);
}

/** The trials of a search, as a table. */
export function trials(found) {
  const metrics = Object.keys(found.objectives);
  const every = [...new Set(found.listed.flatMap((trial) => Object.keys(trial.parameters)))];
  const varied = every.filter((name) => new Set(found.listed.map((trial) => trial.parameters[name])).size > 1);
  return table("Trials", ["trial", "status", ...metrics, "epochs", "time", ...varied], found.listed.map((trial) => [
    trial.run ? h("a", { href: `#/run/${encodeURIComponent(trial.run)}` }, `${trial.number}${trial.is_best ? " ★ best" : ""}`) : `${trial.number}${trial.is_best ? " ★ best" : ""}`,
    badge(trial.status), ...metrics.map((metric) => trial.objectives[metric] ?? null), trial.epochs, duration(trial.seconds),
    ...varied.map((name) => trial.parameters[name] ?? "–"),
  ]));
}
