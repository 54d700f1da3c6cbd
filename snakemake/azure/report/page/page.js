// Draws the timeline and the slots below it, and keeps both at the same stretch of time.
(() => {
  "use strict";
  const told = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement, tip = document.getElementById("tip");
  const box = document.getElementById("timeline"), below = document.getElementById("slots");
  const { drawing, specs } = told;
  if (!box || !drawing.domain.length) return;

  // -- data: lists with names of their columns become objects --------------------------------------------------------
  const objects = ({ columns, rows }) =>
    rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  const bands = objects(drawing.bands).map((band) => ({ ...band, spot: drawing.nodes[band.node].spot }));
  const tasks = objects(drawing.tasks);
  const steps = objects(drawing.steps);
  const whole = widened(drawing.domain), rows = [0, drawing.height];

  function widened([begin, end]) {
    const room = Math.max((end - begin) * 0.01, 500);
    return [begin - room, end + room];
  }

  // -- views ---------------------------------------------------------------------------------------------------------
  const view = (spec, element, data) => {
    const made = new vega.View(vega.parse(spec), { renderer: "canvas", hover: false });
    made.initialize(element);
    for (const [name, values] of Object.entries(data)) made.data(name, values);
    return made;
  };
  const time = view(specs.timeline, box, { bands, tasks, nodes: [], pools: drawing.pools });
  const slots = view(specs.slots, below, { steps, spans: drawing.spans });
  const PAPER = { width: 1030, height: 400 };  // A4 across, in its pixels; what is smaller, shrinks it
  let printing = false;
  const now = { domain: whole, rows, chosen: null };

  function theme() {
    const style = getComputedStyle(root), of = (name) => style.getPropertyValue("--" + name).trim();
    const names = ["paper", "ink", "quiet", "grid", "starting", "idle", "running", "leaving", "unusable", "preempted", "failed", "used", "paid", "asked", "span"];
    const found = Object.fromEntries(names.map((name) => [name, of(name)]));
    found.idleSpot = of("idle-spot");
    found.runningSpot = of("running-spot");
    found.colors = Array.from({ length: 13 }, (_, i) => of("c" + i));
    return found;
  }

  function layout() {
    const width = printing ? PAPER.width : box.clientWidth, narrow = width < 620, left = narrow ? 36 : 104;
    const row = Math.min(Math.max(drawing.slots * 10, 22), 48);
    const most = printing ? PAPER.height : Math.min(620, Math.max(260, window.innerHeight * 0.7));
    const height = Math.max(70, Math.min(drawing.height * row, most));
    for (const [each, high] of [[time, height], [slots, narrow ? 130 : 170]]) {
      const padding = { ...each.padding(), left };
      each.padding(padding).width(Math.max(60, width - left - padding.right)).height(high);
    }
    time.data("nodes", narrow ? [] : drawing.nodes);
    slots.signal("most", Math.max(1, ...steps.map((step) => Math.max(step.used, step.paid, step.asked))));
    const colors = theme();
    time.signal("theme", colors);
    slots.signal("theme", colors);
    draw();
  }

  function draw() {
    time.signal("domain", now.domain).signal("rows", now.rows).signal("chosen", now.chosen).run();
    slots.signal("domain", now.domain).run();
    box.dataset.domain = now.domain.join(" ");
  }

  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  // -- moving and zooming --------------------------------------------------------------------------------------------
  function within([begin, end], [least, most], shortest) {
    const length = Math.min(Math.max(end - begin, shortest), most - least);
    const middle = (begin + end) / 2;
    const from = Math.min(Math.max(middle - length / 2, least), most - length);
    return [from, from + length];
  }
  const at = (event) => {
    const x = event.clientX - box.getBoundingClientRect().left - time.padding().left;
    return Math.min(Math.max(x / time.width(), 0), 1);
  };
  function zoom(factor, where = 0.5) {
    const [begin, end] = now.domain, fixed = begin + where * (end - begin);
    now.domain = within([fixed - (fixed - begin) * factor, fixed + (end - fixed) * factor], whole, 20);
    later();
  }
  function move(share) {
    const by = share * (now.domain[1] - now.domain[0]);
    now.domain = within(now.domain.map((t) => t + by), whole, 20);
    later();
  }
  function zoomRows(factor, where = 0.5) {
    const [top, bottom] = now.rows, fixed = top + where * (bottom - top);
    now.rows = within([fixed - (fixed - top) * factor, fixed + (bottom - fixed) * factor], rows, 1);
    later();
  }
  function moveRows(share) {
    const by = share * (now.rows[1] - now.rows[0]);
    now.rows = within(now.rows.map((y) => y + by), rows, 1);
    later();
  }
  function fit() { now.domain = whole; now.rows = rows; layout(); }
  const deeds = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.4), right: () => move(0.4),
    taller: () => zoomRows(0.5, 0), flatter: () => zoomRows(2, 0), fit,
  };
  for (const button of document.querySelectorAll("[data-do]"))
    button.addEventListener("click", () => deeds[button.dataset.do]());

  const keys = {
    "+": deeds.in, "=": deeds.in, "-": deeds.out, "0": fit, ArrowLeft: () => move(-0.15), ArrowRight: () => move(0.15),
    ArrowUp: () => moveRows(-0.2), ArrowDown: () => moveRows(0.2),
  };
  box.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  box.addEventListener("wheel", (event) => {
    const across = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.002), at(event));
    else if (event.altKey) zoomRows(Math.exp(event.deltaY * 0.002));
    else if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) move(across / time.width());
    else return;
    event.preventDefault();
  }, { passive: false });
  box.addEventListener("dblclick", (event) => zoom(0.35, at(event)));

  const held = new Map();
  let pressed = { x: 0, y: 0, on: null }, pointed = null;
  box.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, event);
    pressed = { x: event.clientX, y: event.clientY, on: pointed };
    box.setPointerCapture(event.pointerId);
    box.classList.add("dragging");
  });
  box.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const others = [...held.values()].filter((each) => each.pointerId !== event.pointerId);
    if (others.length === 1) {
      const apart = (e) => Math.max(12, Math.abs(e.clientX - others[0].clientX));
      zoom(apart(before) / apart(event), (at(event) + at(others[0])) / 2);
    } else if (!others.length) {
      move((before.clientX - event.clientX) / time.width());
      if (event.pointerType === "mouse") moveRows((before.clientY - event.clientY) / time.height());
      hide();
    }
    held.set(event.pointerId, event);
  });
  const release = (event) => { held.delete(event.pointerId); if (!held.size) box.classList.remove("dragging"); };
  box.addEventListener("pointerup", release);
  box.addEventListener("pointercancel", release);

  // -- what is pointed at; texts are set as texts --------------------------------------------------------------------
  const clock = (t) => new Date(t).toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
  function lasting(ms) {
    const s = ms / 1000;
    if (s < 10) return s.toFixed(1) + " s";
    if (s < 60) return Math.round(s) + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
    return Math.floor(s / 3600) + " h " + Math.round((s % 3600) / 60) + " min";
  }
  const where = (node) => drawing.nodes[node].name + (drawing.nodes[node].spot ? " (Spot)" : "");
  const stretchOf = (datum) => [
    ["from", clock(datum.x0) + " UTC"], ["to", clock(datum.x1) + " UTC"], ["lasted", lasting(datum.x1 - datum.x0)],
  ];
  function described(datum) {
    if (datum.task !== undefined) {
      const ended = datum.code === null ? "not known" : String(datum.code);
      return [drawing.rules[datum.rule] + (datum.failed ? " – failed" : ""), [
        ...(datum.wildcards ? [["wildcards", datum.wildcards]] : []), ["task", datum.task],
        ...(datum.attempt > 1 ? [["try", String(datum.attempt)]] : []), ...stretchOf(datum),
        ["exit code", ended], ["slots", String(datum.slots)], ["node", where(datum.node)],
      ]];
    }
    if (datum.state !== undefined) return [datum.state, [["node", where(datum.node)], ...stretchOf(datum)]];
    if (datum.used !== undefined) {
      return [clock(datum.at) + " UTC", ["used", "paid", "asked"].map((name) => [
        { used: "used by tasks", paid: "paid for", asked: "asked for" }[name], datum[name] + " slots",
      ])];
    }
    return [datum.label, datum.x0 === undefined ? [] : stretchOf(datum)];
  }
  function show(event, datum) {
    const [title, lines] = described(datum);
    const head = document.createElement("b"), list = document.createElement("div");
    head.textContent = title;
    for (const text of lines.flat()) {
      const cell = document.createElement("span");
      cell.textContent = text;
      list.append(cell);
    }
    tip.replaceChildren(head, list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect(), away = 14;
    const left = event.clientX + away + width > window.innerWidth ? event.clientX - away - width : event.clientX + away;
    const top = event.clientY + away + height > window.innerHeight ? event.clientY - away - height : event.clientY + away;
    tip.style.left = Math.max(6, left) + "px";
    tip.style.top = Math.max(6, top) + "px";
  }
  function hide() { tip.hidden = true; }
  time.tooltip((_, event, item, value) => {
    pointed = value;
    if (value && !held.size) show(event, value); else hide();
  });
  // A click on a task that failed leads to what it said.
  box.addEventListener("click", (event) => {
    const task = pressed.on;
    if (!task || !task.failed || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 4) return;
    const details = [...document.querySelectorAll("details")].find((each) => each.dataset.task === task.task);
    if (!details) return;
    details.open = true;
    details.scrollIntoView({ block: "center" });
  });
  box.addEventListener("pointerleave", hide);
  window.addEventListener("scroll", hide, { passive: true });
  below.addEventListener("pointerleave", hide);
  below.addEventListener("pointermove", (event) => {
    const x = event.clientX - below.getBoundingClientRect().left - slots.padding().left;
    const t = now.domain[0] + (x / slots.width()) * (now.domain[1] - now.domain[0]);
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (steps[middle].at <= t) low = middle; else high = middle - 1;
    }
    if (steps.length && x >= 0 && steps[low].at <= t) show(event, steps[low]); else hide();
  });

  // -- legend, colors, paper -----------------------------------------------------------------------------------------
  const buttons = [...document.querySelectorAll("[data-rule]")];
  for (const button of buttons)
    button.addEventListener("click", () => {
      const meant = button.dataset.rule === "failed" ? "failed" : Number(button.dataset.rule);
      now.chosen = now.chosen === meant ? null : meant;
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button && now.chosen !== null));
      draw();
    });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layout);
  new ResizeObserver(() => printing || layout()).observe(box);
  const sharp = tasks.length <= 4000;  // as lines, not as pixels
  window.addEventListener("beforeprint", () => {
    printing = true;
    root.classList.add("paper");
    if (sharp) [time, slots].forEach((each) => each.renderer("svg"));
    layout();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    root.classList.remove("paper");
    [time, slots].forEach((each) => each.renderer("canvas"));
    layout();
  });
  layout();
  root.dataset.drawn = String(tasks.length);
})();
