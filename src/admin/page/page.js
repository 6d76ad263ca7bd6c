// The page of a name server: asks /status every few seconds and shows what it says.
"use strict";

const EVERY_MS = 3000;
const COLOURS = 8;
const CONTINENTS = {
  AS: "Asia", EU: "Europe", NA: "North America", SA: "South America", AF: "Africa", OC: "Oceania",
};
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// ── small things ────────────────────────────────────────────────────────────────────────────────

/** An element with attributes and children. Text is only ever text. */
function make(name, attributes = {}, ...children) {
  const svg = ["circle", "path", "text", "g", "title", "tspan"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function count(value) {
  if (value < 10) return (Math.round(value * 10) / 10).toString();
  if (value < 10000) return Math.round(value).toString();
  const [unit, name] = value < 1e6 ? [1e3, "k"] : value < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${(value / unit).toFixed(value / unit < 10 ? 1 : 0)} ${name}`;
}
const bits = (value) => `${count(value)}${value < 10000 ? " " : ""}bit/s`;
const percent = (value) => `${(value * 100).toFixed(value >= 0.9995 || value < 0.1 ? 0 : 1)} %`;
const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function ago(seconds) {
  if (seconds < 2) return "just now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

/** A moment for people: how long ago, and exactly. */
function moment(at) {
  const date = new Date(at * 1000);
  const attributes = { datetime: date.toISOString(), title: date.toLocaleString() };
  return make("time", attributes, ago(Date.now() / 1000 - at));
}

/** Whether an edge takes clients, and in which words. */
function state(edge) {
  if (edge.state === "up" && edge.figures?.draining) return ["wait", "draining"];
  if (edge.state === "up") return ["up", "up"];
  return edge.state === "down" ? ["down", "down"] : ["wait", edge.state];
}

// ── the map ─────────────────────────────────────────────────────────────────────────────────────

/** Natural Earth, as make-world draws it. */
function project([latitude, longitude]) {
  const l = (longitude * Math.PI) / 180, p = (latitude * Math.PI) / 180, q = p * p;
  return [
    l * (0.8707 + q * (-0.131979 + q * (-0.013791 + q ** 3 * (0.003971 - 0.001529 * q)))),
    p * (1.007226 + q * (0.015085 + q ** 2 * (-0.044475 + 0.028874 * q - 0.005916 * q * q))),
  ];
}
const SCALE = 1600 / (2 * project([0, 180])[0]);
const TOP = project([78, 0])[1];
function place(location) {
  const [x, y] = project(location);
  return [800 + x * SCALE, (TOP - y) * SCALE];
}

/** A way that bends to the north; none over the edge of the map. */
function way(from, to) {
  if (Math.abs(from[1] - to[1]) > 180) return null;
  const [[x, y], [u, v]] = [place(from), place(to)];
  const bend = Math.hypot(u - x, v - y) * 0.18;
  return `M${x.toFixed(1)} ${y.toFixed(1)}Q${((x + u) / 2).toFixed(1)} ${((y + v) / 2 - bend).toFixed(1)} ${u.toFixed(1)} ${v.toFixed(1)}`;
}

function drawMap(edges, regions, colours) {
  const small = matchMedia("(max-width: 40rem)").matches;
  const at = new Map(edges.map((edge) => [edge.name, edge.location]));
  const ways = [], cities = [];
  for (const { city, location, edge } of regions) {
    const colour = colours.get(edge) ?? "none";
    const line = at.has(edge) ? way(location, at.get(edge)) : null;
    if (line) ways.push(make("path", { class: `way ${colour}`, d: line }));
    const [cx, cy] = place(location);
    const title = make("title", {}, edge ? `${city}: ${edge}` : `${city}: no edge`);
    cities.push(make("circle", { class: `city ${colour}`, cx, cy, r: small ? 9 : 5.5 }, title));
  }
  const size = small ? 22 : 11;
  const box = ([x, y], r) => [x - r, y - r, x + r, y + r];
  // What names shouldn't cover, and how much it matters.
  const taken = [
    ...regions.map((region) => [box(place(region.location), 8), 1]),
    ...edges.map((edge) => [box(place(edge.location), size * 1.3), 10]),
  ];
  const marks = edges.map((edge) => drawEdge(edge, colours.get(edge.name), size));
  const names = edges.map((edge) => drawName(edge, size, small ? 46 : 24, taken));
  byId("ways").replaceChildren(...ways);
  byId("cities").replaceChildren(...cities);
  byId("marks").replaceChildren(...marks, ...names);
}

function drawEdge(edge, colour, size) {
  const [x, y] = place(edge.location), [kind, word] = state(edge);
  const group = make("g", { class: colour }, make("title", {}, `${edge.name}: ${word}`));
  if (kind === "down") {
    const d = `M${x - size} ${y - size}l${2 * size} ${2 * size}M${x + size} ${y - size}l${-2 * size} ${2 * size}`;
    group.append(make("path", { class: "mark down", d }));
  } else {
    group.append(make("circle", { class: "halo", cx: x, cy: y, r: size * 2.2 }));
    const mark = kind === "up" ? "mark up" : "mark unchecked";
    group.append(make("circle", { class: mark, cx: x, cy: y, r: size }));
  }
  return group;
}

/** A name at its mark, on the side where it covers least. */
function drawName(edge, size, height, taken) {
  const [x, y] = place(edge.location);
  const down = edge.state === "down", figures = edge.figures;
  const note = down ? "down" : figures ? `${count(figures.requests_per_second)}/s` : "";
  const long = height < 40 ? note.length : 0; // Small maps have no notes.
  const width = (edge.name.length + long) * height * 0.56 + 8, away = size * 1.6;
  const sides = [
    ["start", x + away, y + height * 0.3],
    ["end", x - away, y + height * 0.3],
    ["middle", x, y + away + height * 0.8],
    ["middle", x, y - away - height * 0.1],
  ].map(([anchor, at, baseline]) => {
    const left = { start: at, end: at - width, middle: at - width / 2 }[anchor];
    const box = [left, baseline - height * 0.8, left + width, baseline + height * 0.2];
    const off = box[0] < 0 || box[2] > 1600 || box[3] > 670 ? 100 : 0;
    const covers = taken.filter(([other]) => overlap(box, other));
    return { anchor, at, baseline, box, cost: covers.reduce((sum, [, cost]) => sum + cost, off) };
  });
  const best = sides.reduce((one, other) => (other.cost < one.cost ? other : one));
  taken.push([best.box, 10]);
  const attributes = { x: best.at, y: best.baseline, "text-anchor": best.anchor };
  const words = note ? [edge.name, make("tspan", { class: "note", dx: 8 }, note)] : [edge.name];
  return make("text", attributes, ...words);
}

const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

// ── the tables ──────────────────────────────────────────────────────────────────────────────────

const cell = (name, ...children) =>
  make("td", { role: "cell", "data-name": name }, ...children);
const dot = (colour) => make("span", { class: `dot ${colour}`, "aria-hidden": "true" });
const share = (value, low) => value === null || value === undefined ? ["–"] : [
  make("meter", { min: 0, max: 1, optimum: low ? 0 : 1, value, "aria-hidden": "true" }), percent(value)];

function edgeRow(edge, colour) {
  const [kind, word] = state(edge);
  const figures = edge.figures ?? {};
  const stale = edge.state === "down" || !edge.figures;
  const say = (value, words) => stale || value === undefined ? "–" : words(value);
  const shed = edge.shed > 0 ? `gives up ${percent(edge.shed)} of its clients` : null;
  const load = edge.load ?? figures.cpu_share;
  const why = edge.reason ?? shed ?? (edge.figures ? null : edge.figures_error);
  const sign = { up: "●", down: "✕", wait: "○" }[kind];
  const status = make("span", { class: `state ${kind}` },
    make("span", { "aria-hidden": "true" }, `${sign} `), word);
  const filled = figures.cache_capacity_bytes > 0
    ? figures.cache_bytes / figures.cache_capacity_bytes : undefined;
  const heading = make("th", { scope: "row", role: "rowheader" },
    dot(colour), make("span", { class: "plain" }, edge.name));
  return make("tr", { role: "row" },
    heading,
    cell("State", make("span", {}, status, why ? make("small", {}, why) : null)),
    cell("Since", edge.since ? moment(edge.since) : "–"),
    cell("Hit ratio", make("span", {}, ...(stale ? ["–"] : share(figures.hit_ratio, false)))),
    cell("Requests", say(figures.requests_per_second, (it) => `${count(it)}/s`)),
    cell("Traffic", say(figures.egress_bits_per_second, bits)),
    cell("Connections", say(figures.connections, count)),
    cell("Load", make("span", {}, ...(stale ? ["–"] : share(load, true)))),
    cell("Cache", make("span", {}, ...(stale ? ["–"] : share(filled, false)))),
    cell("DNS answers", count(edge.answers)));
}

function regionTables(regions, colours) {
  return Object.entries(CONTINENTS).flatMap(([code, continent]) => {
    const cities = regions.filter((region) => region.continent === code);
    if (cities.length === 0) return [];
    const rows = cities.flatMap((region) => regionRows(region, colours));
    const head = make("thead", { class: "hidden" }, make("tr", {},
      ...["City", "Edge", "Distance"].map((name) => make("th", { scope: "col" }, name))));
    const id = `in-${code}`;
    const table = make("table", { "aria-labelledby": id }, head, make("tbody", {}, ...rows));
    return [make("section", {}, make("h3", { id }, continent), table)];
  });
}

function regionRows(region, colours) {
  const edge = region.edge === null ? make("td", {}, "nobody") : make("td", {},
    dot(colours.get(region.edge) ?? "none"), region.edge);
  const far = region.km === null ? "" : `${region.km.toLocaleString("en")} km`;
  const rows = [make("tr", {}, make("th", { scope: "row" }, region.city), edge, make("td", {}, far))];
  const passed = (region.passed_over ?? []).map((other) => `${other.edge} is ${other.why}`);
  const why = region.why === "nearest" ? [] : [region.why, ...passed];
  if (why.length > 0) {
    rows.push(make("tr", { class: "second" }, make("td", { colspan: 3 }, why.join("; "))));
  }
  return rows;
}

function changeItem(change, colours) {
  const kind = change.what === "up" ? "up" : /^(set to )?down$/.test(change.what) ? "down" : "wait";
  const where = change.address ? ` (${change.address})` : "";
  return make("li", {},
    moment(change.at),
    dot(colours.get(change.edge) ?? "none"), `${change.edge} `,
    make("span", { class: `state ${kind}` }, change.what), where,
    change.reason ? make("span", { class: "why" }, ` – ${change.reason}`) : null);
}

// ── the whole ───────────────────────────────────────────────────────────────────────────────────

/** Changes what a screen reader tells at once only when there is something new to tell. */
function summarise(kind, text) {
  const summary = byId("summary");
  if (summary.textContent !== text) summary.textContent = text;
  summary.className = kind;
}

function summary(edges) {
  const down = edges.filter((edge) => edge.state === "down").map((edge) => edge.name);
  const waiting = edges.filter((edge) => state(edge)[0] === "wait").map((edge) => edge.name);
  if (edges.length === 0) return ["wait", "There are no edges"];
  if (down.length === edges.length) return ["bad", "Every edge is down"];
  if (down.length > 0) return ["bad", `Down: ${down.join(", ")}`];
  if (waiting.length > 0) return ["wait", `Not taking clients: ${waiting.join(", ")}`];
  return ["", edges.length === 1 ? "The edge is up" : `All ${edges.length} edges are up`];
}

function show(status) {
  const { edges, regions = [], changes = [], geoip = {} } = status;
  const colours = new Map(edges.map((edge, index) => [edge.name, `c${index % COLOURS}`]));
  const known = edges.filter((edge) => edge.figures && edge.state !== "down");
  const sum = (of) => known.reduce((all, edge) => all + (of(edge.figures) ?? 0), 0);
  const rate = sum((it) => it.requests_per_second);
  // By what is asked now; while nothing is, each edge counts alike.
  const weigh = (it) => it.hit_ratio === null ? 0 : rate > 0 ? it.requests_per_second : 1;
  const weight = sum(weigh);
  summarise(...summary(edges));
  byId("figures").hidden = false;
  byId("edges-up").textContent = `${edges.filter((it) => it.state === "up").length} of ${edges.length}`;
  byId("requests").textContent = `${count(rate)}/s`;
  byId("egress").textContent = bits(sum((it) => it.egress_bits_per_second));
  byId("hits").textContent = weight > 0 ? percent(sum((it) => weigh(it) * it.hit_ratio) / weight) : "–";
  drawMap(edges, regions, colours);
  byId("edges").replaceChildren(...edges.map((edge) => edgeRow(edge, colours.get(edge.name))));
  byId("regions").replaceChildren(...regionTables(regions, colours));
  byId("changes").replaceChildren(...(changes.length === 0
    ? [make("li", { class: "why" }, "None since the name server started.")]
    : changes.map((change) => changeItem(change, colours))));
  const started = ago(status.uptime_seconds).replace(" ago", "");
  byId("about").textContent = [
    `KingCDN ${status.version}, up for ${started}`,
    plural(status.zones, "zone"),
    geoip.edition || null,
    geoip.attribution || null,
  ].filter(Boolean).join(" · ");
}

let heard = 0;
async function ask() {
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    show(await answer.json());
    heard = Date.now();
    byId("fresh").textContent = "live";
  } catch {
    const since = heard === 0 ? "" : `: what is shown is from ${ago((Date.now() - heard) / 1000)}`;
    summarise("bad", "The name server doesn’t answer");
    byId("fresh").textContent = `not live${since}`;
  }
  setTimeout(ask, document.hidden ? 10 * EVERY_MS : EVERY_MS);
}

byId("land").setAttribute("d", LAND);
ask();
