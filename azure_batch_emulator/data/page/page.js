"use strict";
// What the page shows is asked for once a second, and only what has changed. Nothing that the service says becomes HTML:
// all of it goes into the page as text.

const COLORS = 13, ROWS = 100, REQUESTS = 120, NAMES = 92;
const BAD = new Set(["unusable", "starttaskfailed", "unknown"]);
const COMING = new Set(["creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos"]);
const $ = (id) => document.getElementById(id);
let state = null, tasks = [], rows = [], rules = new Map(), requests = [], lastRequest = 0;
let view = { kind: "all", from: 0, to: 1 }, boxes = [], open = null, pressed = false;

// -- asking ------------------------------------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch("/-/page/" + path, { cache: "no-store" });
  if (!answer.ok) {
    const reason = (answer.headers.get("content-type") || "").includes("json") ? (await answer.json()).error : await answer.text();
    throw Object.assign(new Error(reason || String(answer.status)), { refused: true });
  }
  return answer.json();
}

async function look() {
  let pause = 1000;
  try {
    if (!document.hidden && !pressed) {  // what is being clicked is not taken away
      const news = await ask("state?seen=" + (state ? state.changes : ""));
      if (!news.same) take(news);
      else state.now = news.now;
      live("good", "live " + clock(state.now));
      showTimeline();
      const more = await ask("requests?after=" + lastRequest);
      if (more.length) takeRequests(more);
      if (open) await refresh();
      if (tasks.length > 2000) pause = 2000;
    }
  } catch (error) {
    live("bad", error.refused ? error.message : "the emulator does not answer");
    pause = 2000;
  }
  setTimeout(look, pause);
}

function live(kind, text) {
  const place = $("live");
  place.className = "live " + kind;
  if (place.textContent !== text) place.textContent = text;
}

function take(news) {
  state = news;
  const named = (columns, row) => Object.fromEntries(columns.map((name, i) => [name, row[i]]));
  for (const pool of state.pools) pool.nodes = pool.nodes.map((row) => named(state.nodeColumns, row));
  tasks = state.tasks.map((row) => named(state.taskColumns, row));
  for (const task of tasks) {
    task.jobId = state.jobs[task.job].id;
    task.rule = task.name ? task.name.split(" ")[0] : task.id.replace(/[-_]?\d.*$/, "") || task.id;
    task.how = task.state !== "completed" ? task.state : task.code === 0 && !task.failure ? "succeeded" : "failed";
    if (!rules.has(task.rule)) rules.set(task.rule, Math.min(rules.size, COLORS - 1));
  }
  place();
  const focused = document.activeElement && document.activeElement.dataset.key;
  showTiles(), showPools(), showJobs(), showTasks(), showLegend();
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// -- small things ------------------------------------------------------------------------------------------------------

function make(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(kind, text, act, key) {
  const made = make("button", kind, text);
  if (key) made.dataset.key = key;
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

const two = (n) => String(n).padStart(2, "0");
function clock(at) {
  const d = new Date(at);
  return two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds());
}
function lasting(milliseconds) {
  const s = Math.max(0, milliseconds) / 1000;
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.round(s) + " s";
  if (s < 7200) return Math.floor(s / 60) + " min " + two(Math.floor(s % 60)) + " s";
  return Math.floor(s / 3600) + " h " + two(Math.floor((s % 3600) / 60)) + " min";
}
const took = (task) => (task.start ? lasting((task.state === "completed" ? task.end || task.start : state.now) - task.start) : "");
const bytes = (n) => (n < 1000 ? n + " B" : n < 1e6 ? (n / 1e3).toFixed(1) + " kB" : (n / 1e6).toFixed(1) + " MB");
function short(node) {
  const parts = node.split("_");
  return parts.length === 3 && parts[0].startsWith("tvm") ? parts[1].slice(0, 6) : node.slice(0, 10);
}
function fill(table, heads, lines) {
  const at = table.parentElement.scrollTop;
  const head = make("tr");
  for (const [text, kind] of heads) head.append(make("th", kind || "", text));
  table.replaceChildren(head, ...lines);
  table.parentElement.scrollTop = at;
}
function line(cells) {
  const made = make("tr");
  for (const [content, kind] of cells) {
    const cell = make("td", kind || "");
    cell.append(content);
    made.append(cell);
  }
  return made;
}

// -- tiles, pools, jobs, tasks, requests -------------------------------------------------------------------------------

function showTiles() {
  const nodes = state.pools.flatMap((pool) => pool.nodes);
  const sum = (name) => state.jobs.reduce((all, job) => all + job.counts[name], 0);
  const up = nodes.filter((node) => node.state === "idle" || node.state === "running").length;
  const shown = [
    [state.pools.length, "pools"],
    [up + " / " + nodes.length, "nodes up"],
    [sum("running"), "tasks running"],
    [sum("active"), "waiting"],
    [sum("succeeded"), "succeeded"],
    [sum("failed"), "failed", sum("failed") ? "bad" : ""],
  ];
  $("tiles").replaceChildren(...shown.map(([value, name, kind]) => {
    const tile = make("div", "tile " + (kind || ""));
    tile.append(make("b", "", String(value)), make("span", "", name));
    return tile;
  }));
  $("about").textContent = "account " + state.about.account + ", runner " + state.about.runner;
}

function kindOf(node) {
  if (BAD.has(node.state)) return "bad";
  if (node.state === "preempted" || node.state.startsWith("dealloc")) return "gone";
  if (node.state === "leavingpool" || node.leaving) return "leaving";
  if (node.closed || node.state === "offline") return "closed";
  if (COMING.has(node.state)) return "starting";
  return node.state === "running" ? "running" : "idle";
}

function tellNode(node) {
  const told = [node.id, node.state + (node.closed ? ", takes no tasks" : "") + (node.leaving ? ", leaves" : "")];
  told.push(node.used + " of " + node.slots + " slots in use" + (node.dedicated ? "" : ", Spot"));
  if (node.errors.length) told.push(node.errors.join(", "));
  return told.join("\n");
}

function showPools() {
  const scrolled = new Map([...document.querySelectorAll(".nodes")].map((place) => [place.dataset.pool, place.scrollTop]));
  $("pools").replaceChildren(...state.pools.map((pool) => {
    const card = make("div", "pool");
    card.append(make("b", "", pool.id));
    const [dedicated, spot] = pool.there, wanted = pool.wanted;
    const counted = dedicated + " of " + wanted[0] + " nodes" + (spot || wanted[1] ? ", " + spot + " of " + wanted[1] + " Spot" : "");
    const text = [pool.size, pool.slots + (pool.slots === 1 ? " slot" : " slots"), counted, pool.state === "active" ? pool.allocation : pool.state];
    if (pool.scales) text.push("sized by a formula");
    card.append(make("div", "quiet", text.join(" · ")));
    if (pool.errors.length) card.append(make("div", "quiet failed", pool.errors.join(", ")));
    const nodes = make("div", "nodes");
    nodes.dataset.pool = pool.id;
    for (const node of pool.nodes) {
      const square = button("node " + kindOf(node), "", () => openNode(pool, node), "node " + node.id);
      square.title = tellNode(node);
      square.setAttribute("aria-label", node.id + ", " + node.state);
      nodes.append(square);
    }
    card.append(nodes);
    return card;
  }));
  for (const place of document.querySelectorAll(".nodes")) place.scrollTop = scrolled.get(place.dataset.pool) || 0;
  if (!state.pools.length) $("pools").append(make("p", "quiet", "No pool."));
  const hidden = Object.entries(state.hidden).filter(([, count]) => count).map(([name, count]) => count + " more " + name);
  if (hidden.length) $("pools").append(make("p", "quiet", "Not shown: " + hidden.join(", ") + "."));
}

function showJobs() {
  const heads = [["job"], ["state"], ["pool"], ["tasks", "number"], ["succeeded / failed / running"], ["created"]];
  fill($("jobs"), heads, state.jobs.map((job) => {
    const { active, running, succeeded, failed } = job.counts, all = active + running + succeeded + failed;
    const bar = make("div", "counts");
    for (const [name, count] of [["succeeded", succeeded], ["failed", failed], ["running", running]]) {
      const part = make("i", name);
      part.style.width = (all ? (100 * count) / all : 0) + "%";
      bar.append(part);
    }
    bar.title = succeeded + " succeeded, " + failed + " failed, " + running + " running, " + active + " waiting";
    const told = job.state + (job.reason ? " (" + job.reason + ")" : "");
    return line([[job.id, "wide"], [told], [job.pool, "wide"], [String(all), "number"], [bar], [clock(job.created)]]);
  }));
}

function showTasks() {
  const wanted = $("state").value, text = $("search").value.toLowerCase();
  const found = tasks.filter((task) => (!wanted || task.how === wanted || (wanted === "running" && task.how === "preparing")) &&
    (!text || (task.id + " " + task.name + " " + task.jobId).toLowerCase().includes(text)));
  const heads = [["task"], ["state"], ["exit", "number"], ["name"], ["node"], ["start"], ["time", "number"], ["job"]];
  fill($("tasks"), heads, found.slice(0, ROWS).map((task) => line([
    [button("as-link", task.id, () => openTask(task), task.jobId + "/" + task.id), "wide"],
    [task.how + (task.failure && task.failure !== "FailureExitCode" ? " (" + task.failure + ")" : ""), task.how === "failed" ? "bad" : task.how === "succeeded" ? "good" : ""],
    [task.code === null ? "" : String(task.code), "number"], [task.name, "wide"], [task.node ? short(task.node) : ""],
    [task.start ? clock(task.start) : ""], [took(task), "number"], [task.jobId, "wide"],
  ])));
  const all = state.jobs.reduce((sum, job) => sum + Object.values(job.counts).reduce((a, b) => a + b, 0), 0);
  $("shown").textContent = Math.min(found.length, ROWS) + " of " + (wanted || text ? found.length + " found, " : "") + all;
}

function takeRequests(more) {
  requests = [...requests, ...more].slice(-300);
  lastRequest = more[more.length - 1].n;
  showRequests();
}

function showRequests() {
  const only = $("errors").checked;
  const shown = requests.filter((one) => !only || !(one.status < 400)).slice(-REQUESTS).reverse();
  fill($("requests"), [["time"], ["request"], ["operation"], ["status", "number"], ["ms", "number"]], shown.map((one) => line([
    [clock(one.at)], [one.method + " " + one.path, "wide"], [one.operation || ""],
    [(one.status === null ? "no answer" : String(one.status)) + (one.error ? " " + one.error : ""), "number" + (one.status < 400 ? "" : " bad")],
    [one.ms.toFixed(1), "number"],
  ])));
}

// -- the timeline ------------------------------------------------------------------------------------------------------
// A row for each node, as high as its slots; a task lies in as many lanes as it takes slots, in the first that are free.

function place() {
  const by = new Map();
  for (const pool of state.pools) {
    for (const node of pool.nodes) by.set(pool.id.toLowerCase() + " " + node.id, { pool: pool.id, node, name: node.id, slots: node.slots, bars: [] });
  }
  const begun = tasks.filter((task) => task.start && task.node).sort((a, b) => a.start - b.start);
  for (const task of begun) {
    const key = task.pool.toLowerCase() + " " + task.node;
    if (!by.has(key)) by.set(key, { pool: task.pool, node: null, name: task.node, slots: 1, bars: [] });
    const row = by.get(key), end = task.state === "completed" ? task.end || task.start : Infinity;
    row.lanes = row.lanes || [];
    let lane = 0;
    const free = (at) => { for (let i = 0; i < task.slots; i++) if ((row.lanes[at + i] || 0) > task.start) return false; return true; };
    while (lane < 512 && !free(lane)) lane++;
    for (let i = 0; i < task.slots; i++) row.lanes[lane + i] = end;
    row.bars.push({ task, lane });
    row.slots = Math.max(row.slots, Math.min(row.lanes.length, 512));
  }
  rows = [...by.values()];
}

function bounds() {
  const begins = rows.flatMap((row) => [row.node ? row.node.allocated : Infinity, row.bars.length ? row.bars[0].task.start : Infinity]);
  const first = begins.length ? Math.min(...begins) : state.now - 60000;
  return { first: Number.isFinite(first) ? first : state.now - 60000, last: state.now };
}

function showTimeline() {
  if (!state) return;
  const { first, last } = bounds(), some = rows.length > 0;
  $("timeline").hidden = !some;
  $("no-timeline").hidden = some;
  if (!some) return;
  if (view.kind === "all") { view.from = first; view.to = last + Math.max(1000, (last - first) * 0.02); }
  else if (view.kind !== "free") { view.to = last + 1000; view.from = view.to - (view.kind === "hour" ? 3600000 : 300000); }
  document.documentElement.dataset.drawn = "yes";
  $("span").textContent = clock(view.from) + " to " + clock(Math.min(view.to, last)) + ", " + rows.length + (rows.length === 1 ? " node" : " nodes");
  draw();
}

function rowHeight() {
  const most = Math.max(1, ...rows.map((row) => row.slots));
  const room = ($("timeline").clientHeight - 24) / rows.length;
  return Math.max(10, Math.min(60, Math.max(room, Math.min(22, most * 4))));
}

function draw() {
  const holder = $("timeline"), canvas = $("canvas"), ratio = window.devicePixelRatio || 1;
  const width = holder.clientWidth, height = holder.clientHeight, each = rowHeight();
  $("height").style.height = Math.max(0, rows.length * each + 24 - height) + "px";
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue("--" + name).trim();
  const palette = Array.from({ length: COLORS }, (_, i) => color("c" + i)), g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  const left = NAMES, x = (at) => left + ((at - view.from) / (view.to - view.from)) * (width - left);
  boxes = [];
  grid(g, width, height, x, color);
  const top = holder.scrollTop, begin = Math.max(0, Math.floor(top / each) - 1), end = Math.min(rows.length, Math.ceil((top + height) / each) + 1);
  g.save();
  g.beginPath(), g.rect(0, 0, width, height - 22), g.clip();
  for (let i = begin; i < end; i++) drawRow(g, rows[i], i * each - top, each, { x, left, width, color, palette });
  g.restore();
}

function grid(g, width, height, x, color) {
  const span = view.to - view.from, steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].map((s) => s * 1000);
  const step = steps.find((s) => (s / span) * (width - NAMES) >= 84) || Math.ceil(span / 6);
  g.font = "11px system-ui, sans-serif", g.textAlign = "center", g.strokeStyle = color("grid"), g.fillStyle = color("quiet");
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const place = Math.round(x(at)) + 0.5;
    g.beginPath(), g.moveTo(place, 0), g.lineTo(place, height - 22), g.stroke();
    if (place > NAMES + 24 && place < width - 26) g.fillText(clock(at), place, height - 7);
  }
  const now = Math.round(x(state.now)) + 0.5;
  if (now < width) g.strokeStyle = color("link"), g.beginPath(), g.moveTo(now, 0), g.lineTo(now, height - 22), g.stroke();
}

function drawRow(g, row, y, each, at) {
  const { x, left, width, color, palette } = at, gap = each > 14 ? 2 : 1, high = each - gap;
  g.textAlign = "left", g.fillStyle = color("quiet");
  if (each >= 10) g.fillText(short(row.name) + (row.node && !row.node.dedicated ? " Spot" : ""), 2, y + Math.min(high, each) / 2 + 4);
  const band = (from, to, name) => {
    const a = Math.max(left, x(from)), b = Math.min(width, x(to));
    if (b > a) g.fillStyle = color(name), g.fillRect(a, y, b - a, high);
  };
  if (row.node) {
    const { allocated, booted, since } = row.node, kind = kindOf(row.node);
    const ready = booted || state.now;
    band(allocated, Math.min(ready, state.now), "starting");
    band(ready, state.now, "idle");
    if (kind === "bad") band(since, state.now, "unusable");
    if (kind === "leaving" || kind === "closed") band(since, state.now, "leaving");
    if (kind === "gone") band(since, state.now, "preempted");
  }
  const lane = high / row.slots;
  for (const { task, lane: number } of row.bars) {
    const end = task.state === "completed" ? task.end || task.start : state.now;
    const a = Math.max(left, x(task.start)), b = Math.min(width, Math.max(x(end), x(task.start) + 1.5));
    if (b <= left || a >= width) continue;
    const up = y + number * lane, tall = Math.max(1, task.slots * lane - (lane > 3 ? 1 : 0));
    g.globalAlpha = task.state === "completed" ? 1 : 0.72;
    g.fillStyle = task.how === "failed" ? color("failed") : palette[rules.get(task.rule)];
    g.fillRect(a, up, Math.max(1, b - a - (b - a > 4 ? 1 : 0)), tall);
    g.globalAlpha = 1;
    if (tall > 12 && b - a > 60) {
      g.save(), g.beginPath(), g.rect(a, up, b - a - 4, tall), g.clip();
      g.fillStyle = ink(task.how === "failed" ? color("failed") : palette[rules.get(task.rule)]), g.fillText(task.name || task.id, a + 5, up + tall / 2 + 4), g.restore();
    }
    boxes.push([a, up, b, up + tall, task]);
  }
}

function ink(ground) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(ground.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#10161d" : "#ffffff";
}

function showLegend() {
  const names = [...rules.keys()];
  const shown = names.slice(0, COLORS - 1).map((name) => [name, "c" + rules.get(name)]);
  if (names.length >= COLORS) shown.push([names.length - COLORS + 1 + " others", "c" + (COLORS - 1)]);
  if (tasks.some((task) => task.how === "failed")) shown.push(["failed", "failed"]);
  shown.push(["node starting", "starting"]);
  $("legend").replaceChildren(...shown.map(([name, color]) => {
    const one = make("span"), dot = make("i", "dot");
    dot.style.background = "var(--" + color + ")";
    one.append(dot, name);
    return one;
  }));
}

function zoom(factor, where) {
  const middle = where === undefined ? (view.from + view.to) / 2 : where;
  const from = middle - (middle - view.from) * factor, to = middle + (view.to - middle) * factor;
  if (to - from < 200 || to - from > 60 * 86400000) return;
  choose("free"), (view.from = from), (view.to = to), showTimeline();
}

function choose(kind) {
  view.kind = kind;
  for (const id of ["all", "hour", "minutes"]) $(id).setAttribute("aria-pressed", String(id === kind));
}

function under(event) {
  const edge = $("canvas").getBoundingClientRect(), x = event.clientX - edge.left, y = event.clientY - edge.top;
  for (let i = boxes.length - 1; i >= 0; i--) {
    const [a, up, b, down, task] = boxes[i];
    if (x >= a - 1 && x <= b + 1 && y >= up && y <= down) return task;
  }
  return null;
}

function point(event) {
  const task = under(event), tip = $("tip");
  tip.hidden = !task;
  $("canvas").style.cursor = task ? "pointer" : "grab";
  if (!task) return;
  tip.textContent = [task.id, task.name, task.how + (task.code ? ", exit code " + task.code : "") + ", " + took(task),
    task.slots + (task.slots === 1 ? " slot" : " slots") + " on " + short(task.node), "since " + clock(task.start)].filter(Boolean).join("\n");
  tip.style.left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8) + "px";
}

function listenToTimeline() {
  const canvas = $("canvas");
  let held = null, moved = false;
  canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, from: view.from, to: view.to }; moved = false; });
  window.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!held || event.buttons !== 1) return point(event);
    const shift = ((event.clientX - held.x) / (canvas.clientWidth - NAMES)) * (held.to - held.from);
    if (Math.abs(event.clientX - held.x) < 4) return;
    moved = true, choose("free"), (view.from = held.from - shift), (view.to = held.to - shift), showTimeline();
  });
  canvas.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  canvas.addEventListener("click", (event) => { const task = under(event); if (task && !moved) openTask(task); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const edge = canvas.getBoundingClientRect(), share = (event.clientX - edge.left - NAMES) / (canvas.clientWidth - NAMES);
    zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, view.from + share * (view.to - view.from));
  }, { passive: false });
  $("timeline").addEventListener("scroll", () => state && draw());
  for (const id of ["all", "hour", "minutes"]) $(id).addEventListener("click", () => { choose(id), showTimeline(); });
  $("in").addEventListener("click", () => zoom(0.6));
  $("out").addEventListener("click", () => zoom(1 / 0.6));
  new ResizeObserver(() => state && showTimeline()).observe($("timeline"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state && draw());
}

// -- one task, one node ------------------------------------------------------------------------------------------------

const parameters = (values) => new URLSearchParams(values).toString();

function openTask(task) {
  show({ title: task.id, place: { job: task.jobId, task: task.id }, file: "", wanted: task.how === "failed" ? "stderr.txt" : "stdout.txt" });
}

function openNode(pool, node) {
  show({ title: node.id, place: { pool: pool.id, node: node.id }, file: "", wanted: "startup/stdout.txt" });
}

async function show(what) {
  open = what;
  $("details-title").textContent = what.title;
  for (const id of ["facts", "names"]) $(id).replaceChildren();
  $("command").hidden = true, ($("text").textContent = ""), ($("size").textContent = "");
  if (!$("details").open) $("details").showModal();
  await refresh();
}

async function refresh() {
  const now = open;
  try {
    if (now.place.task) facts(await ask("task?" + parameters(now.place)));
    else nodeFacts(now);
    const files = await ask("files?" + parameters(now.place));
    if (open === now) await names(now, files);
  } catch (error) {
    if (!error.refused) throw error;
    if (open === now) $("names").replaceChildren(make("span", "quiet", "No files: " + error.message));
  }
}

function facts(task) {
  const date = (at) => (at ? new Date(at).toLocaleString() : "");
  const told = [
    ["job", task.job], ["name", task.name], ["state", task.state + " since " + clock(task.since)],
    ["exit code", task.code === null ? "" : String(task.code)], ["failure", task.failure], ["start", date(task.start)], ["end", date(task.end)],
    ["retries", task.retries ? String(task.retries) : ""], ["requeued", task.requeues ? String(task.requeues) : ""],
    ["node", task.node], ["pool", task.pool], ["slots", String(task.slots)], ["image", task.image], ["variables", task.variables.join(", ")],
  ];
  list(told);
  $("command").hidden = false;
  if ($("command").textContent !== task.command) $("command").textContent = task.command;
}

function nodeFacts(now) {
  const node = state.pools.filter((pool) => pool.id === now.place.pool).flatMap((pool) => pool.nodes).find((one) => one.id === now.place.node);
  list([["pool", now.place.pool], ["node", node ? tellNode(node) : "gone"]]);
}

function list(told) {
  $("facts").replaceChildren(...told.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
}

async function names(now, files) {
  const plain = files.filter((file) => !file.folder);
  if (!now.file || !plain.some((file) => file.name === now.file)) {
    now.file = (plain.find((file) => file.name === now.wanted && file.size) || plain.find((file) => file.size) || plain[0] || { name: "" }).name;
  }
  $("names").replaceChildren(...plain.map((file) => {
    const one = button("", file.name + " (" + bytes(file.size) + ")", () => { now.file = file.name; refresh().catch(() => {}); });
    one.setAttribute("aria-pressed", String(file.name === now.file));
    return one;
  }));
  if (!now.file) return;
  const { text, size } = await ask("file?" + parameters({ ...now.place, name: now.file }));
  if (open !== now) return;
  const place = $("text"), atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 30;
  $("size").textContent = now.file + ", " + bytes(size) + (text.length < size && size > 65536 ? ", the end of it" : "");
  if (place.textContent !== text) {
    place.textContent = text;
    if (atEnd) place.scrollTop = place.scrollHeight;
  }
}

$("close").addEventListener("click", () => $("details").close());
$("details").addEventListener("close", () => { open = null; });
for (const [id, event] of [["state", "change"], ["search", "input"]]) $(id).addEventListener(event, () => state && showTasks());
$("errors").addEventListener("change", showRequests);
window.addEventListener("pointerdown", () => { pressed = true; });
for (const event of ["pointerup", "pointercancel", "blur"]) window.addEventListener(event, () => { pressed = false; });
listenToTimeline();
look();
