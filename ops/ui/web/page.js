// The page's behaviour: tabs, live panels, charts, copying, search. What is shown comes from the server as HTML that
// is escaped there; texts of a run are never put together here.
"use strict";
(() => {
  const root = document.documentElement, $ = (s, in_ = document) => in_.querySelector(s);
  const $$ = (s, in_ = document) => [...in_.querySelectorAll(s)];
  root.classList.add("scripted");
  const shown = {}; // as the server wrote it: a panel that is the same again stays, with focus and selection
  for (const box of $$("main [id], #head")) if (!box.closest("#tabs")) shown[box.id] = box.innerHTML;

  // Dark or light: the reader's choice, or else the system's.
  const store = (key, value) => { try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); } catch { return null; } };
  const dark = () => (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (store("itool-theme")) root.style.colorScheme = store("itool-theme");
  const toggleTheme = () => { root.style.colorScheme = dark() ? "light" : "dark"; store("itool-theme", root.style.colorScheme); drawCharts(); };
  $("#theme")?.addEventListener("click", toggleTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts());

  // Tabs: by mouse, by arrow keys, by the digits; the address remembers which.
  const tabs = $$("[role=tab]");
  function show(name, focus) {
    const tab = tabs.find(t => t.dataset.tab === name) || tabs[0];
    if (!tab) return;
    for (const t of tabs) {
      const on = t === tab;
      t.setAttribute("aria-selected", on); t.tabIndex = on ? 0 : -1;
      $("#" + t.getAttribute("aria-controls")).classList.toggle("shown", on);
    }
    if (focus) tab.focus();
    const bar = tab.parentElement.getBoundingClientRect(), at = tab.getBoundingClientRect(); // the page itself stays: its verdict is above
    tab.parentElement.scrollLeft += Math.min(0, at.left - bar.left) + Math.max(0, at.right - bar.right);
    if (tab.dataset.tab === "curves") drawCharts();
    load($("#" + tab.getAttribute("aria-controls")));
  }
  function go(name) { history.replaceState(null, "", "#" + name); show(name); $("#tabs").scrollIntoView({ behavior: "smooth", block: "start" }); }
  for (const t of tabs) {
    t.addEventListener("click", () => { history.replaceState(null, "", "#" + t.dataset.tab); show(t.dataset.tab); });
    t.addEventListener("keydown", e => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key], i = tabs.indexOf(t);
      const to = step ? (i + step + tabs.length) % tabs.length : { Home: 0, End: tabs.length - 1 }[e.key];
      if (to !== undefined) { e.preventDefault(); show(tabs[to].dataset.tab, true); }
    });
  }
  document.addEventListener("keydown", e => {
    if (e.target.closest("input, select, textarea") || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key >= "1" && e.key <= "9" && tabs[e.key - 1]) go(tabs[e.key - 1].dataset.tab);
    if (e.key === "t") toggleTheme();
    if (e.key === "/") { const s = $(".pane.shown input[type=search]") || (tabs.length ? null : $("input[type=search]")); if (s) { e.preventDefault(); s.focus(); } }
  });

  // Fragments: a container with data-src is filled when it is first seen.
  async function load(in_, force) {
    for (const box of $$("[data-src]", in_)) {
      if (box.dataset.loaded === box.dataset.src && !force) continue;
      box.dataset.loaded = box.dataset.src;
      await fill(box, box.dataset.src);
    }
  }
  async function fill(box, src) {
    const mine = box.asked = {}; // a late answer does not overwrite that of a later request
    box.setAttribute("aria-busy", "true");
    let html = null;
    try { html = await (await fetch(src, { headers: { Accept: "text/html" } })).text(); } catch { /* said below */ }
    if (box.asked !== mine) return;
    if (html !== null) box.innerHTML = html;
    else { box.textContent = "The server cannot be reached. The run goes on without it."; box.dataset.loaded = ""; }
    box.removeAttribute("aria-busy");
  }

  document.addEventListener("click", async e => {
    const copy = e.target.closest("[data-copy]"), link = e.target.closest("[data-go]"), more = e.target.closest("[data-more]");
    const examples = e.target.closest("[data-show-examples]"), open = e.target.closest("[data-fill]");
    if (copy) {
      try { await navigator.clipboard.writeText(copy.dataset.copy); copy.textContent = "copied"; } catch { getSelection().selectAllChildren(copy.previousElementSibling); copy.textContent = "press Ctrl-C"; }
      setTimeout(() => copy.textContent = "copy", 1500);
    }
    if (link) { e.preventDefault(); go(link.dataset.go); }
    if (examples) { e.preventDefault(); showExamples(examples.dataset.showExamples); }
    if (open) { e.preventDefault(); const box = $(open.dataset.into); box.dataset.src = box.dataset.loaded = open.dataset.fill; await fill(box, open.dataset.fill); box.scrollIntoView({ block: "nearest" }); if (open.dataset.tab) go(open.dataset.tab); }
    if (more) { e.preventDefault(); const box = more.parentElement; await fill(box, more.dataset.more); box.replaceWith(...box.childNodes); }
  });

  // Examples: the form's fields are the filter.
  const filter = $("#example-filter");
  function showExamples(query) {
    if (filter) { for (const f of filter.elements) f.value = ""; for (const [k, v] of new URLSearchParams(query)) { const f = filter.elements[k]; if (f) { if (f.tagName === "SELECT" && ![...f.options].some(o => o.value === v)) f.add(new Option(v, v)); f.value = v; } } listExamples(); }
    go("examples");
  }
  function listExamples() {
    const box = $("#example-list");
    if (!box || !filter) return;
    if (box.dataset.base === undefined) { frozenFilter(box); return; }
    box.dataset.src = box.dataset.base + "?" + new URLSearchParams(new FormData(filter));
    load(box.parentElement);
  }
  function frozenFilter(box) {
    const q = Object.fromEntries(new FormData(filter));
    for (const x of $$("[data-example]", box)) x.hidden = !!(q.effect && x.dataset.effect !== q.effect || q.type && x.dataset.type !== q.type && x.dataset.typeBefore !== q.type || q.category && x.dataset.category !== q.category);
  }
  filter?.addEventListener("change", listExamples);
  filter?.addEventListener("reset", () => setTimeout(listExamples));
  document.addEventListener("change", e => {
    const form = e.target.closest("[data-list]"), box = form && $(form.dataset.list);
    if (box) { box.dataset.src = form.dataset.base + "?" + new URLSearchParams(new FormData(form)); load(box.parentElement); }
  });
  filter?.addEventListener("submit", e => { e.preventDefault(); listExamples(); });

  // Trees: children are fetched when a node is opened.
  document.addEventListener("toggle", async e => {
    const box = e.target.open && $(":scope > [data-children]", e.target);
    if (box) { const src = box.dataset.children; box.removeAttribute("data-children"); await fill(box, src); }
  }, true);

  // Search within what is shown.
  document.addEventListener("input", e => {
    if (e.target.dataset.filter) {
      const q = e.target.value.toLowerCase();
      for (const row of $$(e.target.dataset.filter)) row.hidden = !row.dataset.text.toLowerCase().includes(q);
    }
    if (e.target.id === "smooth") drawCharts();
  });

  // Changes are asked for once more, and are sent by script so that the page stays.
  document.addEventListener("submit", async e => {
    const form = e.target.closest("[data-requeue]");
    if (!form) return;
    e.preventDefault();
    const answer = await fetch(form.action, { method: "POST" });
    form.querySelector("span").textContent = await answer.text();
  });

  // Live: the server sends the panels that changed.
  const live = $("#live"), state = (name, title) => { if (live) { live.className = "live " + name; live.title = title; } };
  function put(id, html) {
    const box = document.getElementById(id), fresh = document.createElement("template");
    fresh.innerHTML = html;
    if (!box || shown[id] === fresh.innerHTML) return;
    shown[id] = fresh.innerHTML;
    const opened = $$("details[open] > summary", box).map(s => s.textContent), search = $("[data-filter]", box)?.value;
    box.innerHTML = html;
    for (const s of $$("summary", box)) if (opened.includes(s.textContent)) s.parentElement.open = true;
    const field = $("[data-filter]", box);
    if (field && search) { field.value = search; field.dispatchEvent(new Event("input", { bubbles: true })); }
    if (id === "curves") drawCharts();
  }
  if (document.body.dataset.events && window.EventSource) {
    const source = new EventSource(document.body.dataset.events);
    source.onopen = () => state("on", "connected: the page follows the run");
    source.onerror = () => state("off", "the server does not answer; the run goes on, and the page comes back by itself");
    source.addEventListener("panel", e => { const p = JSON.parse(e.data); put(p.id, p.html); });
    source.addEventListener("over", () => { source.close(); state("over", "the run is over"); });
  }

  // Charts. Trainings stand one behind the other on one axis of steps; dashed lines part them.
  let plots = [];
  const colour = name => { const x = document.createElement("i"); x.style.color = `var(--${name})`; document.body.append(x); const c = getComputedStyle(x).color; x.remove(); return c; };
  function smooth(values, by) {
    let mean = null;
    return values.map(v => v == null ? null : mean = mean == null ? v : by * mean + (1 - by) * v);
  }
  function join(parts, value) { // one array over all trainings, a gap between two
    const x = [], y = [], bounds = [];
    let at = 0;
    for (const p of parts) {
      bounds.push({ at, name: p.name });
      for (const point of p.points) { x.push(at + point.step); const v = value(point); y.push(v === undefined ? null : v); }
      at += p.points.length ? p.points[p.points.length - 1].step : 0;
      x.push(at + 0.5); y.push(null);
    }
    return { x, y, bounds };
  }
  function lines(bounds) {
    return { hooks: { drawAxes: [u => {
      const c = u.ctx; c.save(); c.font = `${11 * devicePixelRatio}px system-ui, sans-serif`; c.fillStyle = colour("soft"); c.strokeStyle = colour("line"); c.setLineDash([4, 4]);
      for (const b of bounds) {
        const x = u.valToPos(b.at, "x", true);
        if (x < u.bbox.left - 1 || x > u.bbox.left + u.bbox.width) continue;
        c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke();
        c.fillText(b.name, x + 5 * devicePixelRatio, u.bbox.top + 12 * devicePixelRatio);
      }
      c.restore();
    }] } };
  }
  function chart(box, title, parts, series) {
    const holder = document.createElement("div"), head = document.createElement("h3");
    holder.className = "chart"; head.textContent = title; holder.append(head); box.append(holder);
    const by = +($("#smooth")?.value ?? 0.6), data = [], options = [];
    let bounds;
    for (const s of series) {
      const j = join(parts, s.value), part = [];
      bounds = j.bounds;
      if (!data.length) { data.push(j.x); options.push({ label: "step" }); }
      let from = 0;
      for (let i = 0; i <= j.y.length; i++) if (i === j.y.length || j.y[i] === null && !s.points) { part.push(...(s.points ? j.y.slice(from, i) : smooth(j.y.slice(from, i), by))); if (i < j.y.length) part.push(null); from = i + 1; }
      const c = colour(s.colour);
      if (!s.points && by > 0) { data.push(j.y); options.push({ label: s.label + ", every step", class: "raw", stroke: c, width: 1, alpha: 0.28, points: { show: false } }); }
      data.push(part);
      options.push({ label: s.label, stroke: c, width: s.points ? 0 : 2, points: { show: !!s.points, size: 7, fill: c }, spanGaps: !!s.points, value: (u, v) => v == null ? "–" : v.toPrecision(4) });
    }
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    plots.push(new uPlot({
      width: Math.max(240, holder.clientWidth), height: 210, plugins: [lines(bounds)], scales: { x: { time: false } }, series: options,
      cursor: { sync: { key: "curves" + parts.length } }, axes: [{ ...axis, size: 28 }, { ...axis, size: 46 }],
    }, data, holder));
  }
  function drawCharts() {
    const box = $("#charts"), text = $("#curve-data")?.textContent;
    if (!box || !text || !box.clientWidth || !window.uPlot) return;
    for (const p of plots) p.destroy();
    plots = []; box.textContent = "";
    const parts = JSON.parse(text).parts, warm = parts.filter(p => p.warmup), rounds = parts.filter(p => !p.warmup);
    const has = (of, value) => of.some(p => p.points.some(x => value(x) !== undefined));
    const validation = { label: "validation", colour: "warn", value: p => p.validation, points: true };
    if (warm.length) chart(box, "Loss of the warm-up, nats per token", warm, [{ label: "train", colour: "accent", value: p => p.loss }, ...(has(warm, p => p.validation) ? [validation] : [])]);
    if (rounds.length) {
      chart(box, "Loss of the rounds, nats per pair", rounds, [{ label: "train", colour: "accent", value: p => p.loss }, ...(has(rounds, p => p.validation) ? [validation] : [])]);
      if (has(rounds, p => p.chosen)) {
        chart(box, "Margin: chosen − rejected, nats per token", rounds, [{ label: "margin", colour: "good", value: p => p.chosen === undefined ? undefined : p.chosen - (p.rejected || 0) }]);
        chart(box, "Log-probability of both sides, nats per token", rounds, [{ label: "chosen", colour: "good", value: p => p.chosen }, { label: "rejected", colour: "bad", value: p => p.rejected }]);
      }
      if (has(parts, p => p.right)) chart(box, "Right answers to validation examples, share", parts, [{ label: "right", colour: "accent", value: p => p.right, points: true }]);
    }
  }
  let width = innerWidth;
  addEventListener("resize", () => { if (width !== innerWidth) { width = innerWidth; drawCharts(); } });

  if (tabs.length) show(location.hash.slice(1));
  addEventListener("hashchange", () => { if (tabs.some(t => t.dataset.tab === location.hash.slice(1))) show(location.hash.slice(1)); });
})();
