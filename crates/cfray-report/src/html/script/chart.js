// The time chart: a brush over what the page was drawn with, and other spans drawn anew. Pointer, sliders and
// buttons say the same. Incidents are exact at every width; traffic is never drawn finer than it was counted.

const timeChart = (data, changed) => {
  const plot = byId("plot");
  if (!plot) return { whole: () => true, from: -Infinity, to: Infinity, reset() {} };
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 604800, 4 * 604800];
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 4 * 604800];
  const all = { start: Number(plot.dataset.start), step: Number(plot.dataset.step), bars: Number(plot.dataset.bars) };
  all.end = all.start + all.step * all.bars;
  const brush = byId("brush"), from = byId("from"), to = byId("to"), range = byId("range"), zoom = byId("zoom"), out = byId("unzoom");
  const drawn = { svg: plot.querySelector("svg"), axis: byId("axis").querySelector("svg"), most: byId("most").textContent, traffic: byId("most-traffic")?.textContent };
  const self = { from: all.start, to: all.end };
  let view = all;
  self.whole = () => self.from <= all.start && self.to >= all.end;
  // Rows without a time stay while nothing is chosen.
  self.has = ms => self.whole() || ms !== null && ms >= self.from && ms < self.to;

  const text = () => {
    const a = moment(self.from), b = moment(self.to);
    return a + " – " + (a.slice(0, 10) === b.slice(0, 10) ? b.slice(11) : b) + " UTC";
  };
  self.text = text;
  const words = s => s < 100 ? s + " s" : s < 6000 ? Math.floor(s / 60) + " min" + (s % 60 ? " " + s % 60 + " s" : "") : Math.floor(s / 3600) + " h" + (s % 3600 ? " " + Math.round(s % 3600 / 60) + " min" : "");
  const node = (name, attributes, content) => {
    const e = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    if (content !== undefined) e.textContent = content;
    return e;
  };
  const rect = (parent, cls, x, y, width, height) => parent.append(node("rect", { ...(cls ? { class: cls } : {}), x: (100 * x).toFixed(3) + "%", y: y.toFixed(2) + "%", width: (100 * width).toFixed(3) + "%", height: height.toFixed(2) + "%" }));

  // Draws a span of time.
  const draw = () => {
    const { start, step, bars, end } = view, span = end - start, s = step / 1000;
    const stacks = Array.from({ length: bars }, () => []);
    for (const cause of data.causes) {
      const sums = new Array(bars).fill(0);
      for (const [second, n] of cause.list) {
        const bar = Math.floor((second * 1000 - start) / step);
        if (bar >= 0 && bar < bars) sums[bar] += n;
      }
      sums.forEach((n, bar) => { if (n) stacks[bar].push([cause.colour, n]); });
    }
    const wide = Math.max(s, data.traffic.width), requests = new Map();
    for (const [second, n] of data.traffic.list) {
      const bucket = Math.floor(second / wide) * wide;
      if ((bucket + wide) * 1000 > start && bucket * 1000 < end) requests.set(bucket, (requests.get(bucket) ?? 0) + n);
    }
    const most = Math.max(0, ...stacks.map(stack => stack.reduce((sum, [, n]) => sum + n, 0))), mostRequests = Math.max(0, ...requests.values());
    const svg = node("svg", { class: "plot", width: "100%", height: "100%", "aria-hidden": "true" });
    const area = node("g", { class: "traffic" }), grid = node("g", { class: "grid" }), stack = node("g", { class: "bars" }), labels = node("g", {});
    for (const [bucket, n] of requests) {
      const a = Math.max(start, bucket * 1000), b = Math.min(end, (bucket + wide) * 1000), height = 94 * n / mostRequests;
      rect(area, "", (a - start) / span, 100 - height, (b - a) / span + 0.0005, height);
    }
    let line = 1;
    for (const power of [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7]) for (const n of [1, 2, 5]) if (most / line > 4 && n * power > line) line = n * power;
    for (let n = line; n <= most; n += line) {
      const y = (100 - 94 * n / most).toFixed(2) + "%";
      grid.append(node("line", { x1: 0, x2: "100%", y1: y, y2: y }));
      labels.append(node("text", { x: 3, y, dy: "1.05em" }, group(n)));
    }
    stacks.forEach((list, bar) => {
      let top = 100;
      for (const [colour, n] of list) {
        const height = Math.max(94 * n / most, 1.5);
        top -= height;
        rect(stack, colour, (bar + 0.06) / bars, top, 0.88 / bars, height);
      }
    });
    svg.append(area, grid, stack, labels);
    const axis = node("svg", { class: "axis", width: "100%", height: 20, "aria-hidden": "true" });
    const tick = STEPS.find(t => span / 1000 / t <= 8) ?? span / 8000;
    let at = 0;
    for (let t = Math.ceil(start / 1000 / tick) * tick; t * 1000 <= end; t += tick) {
      const x = (t * 1000 - start) / span, day = tick >= 86400 || t % 86400 === 0;
      const label = day ? new Date(t * 1000).toUTCString().slice(5, 11) : iso(t * 1000).slice(11, tick >= 60 ? 16 : 19);
      axis.append(node("text", { x: (100 * x).toFixed(3) + "%", y: 14, "text-anchor": x < 0.04 ? "start" : x > 0.96 ? "end" : "middle", ...(at++ % 2 ? { class: "odd" } : {}) }, label));
    }
    const original = view === all;
    plot.querySelector("svg").replaceWith(original ? drawn.svg : svg);
    byId("axis").replaceChildren(original ? drawn.axis : axis);
    byId("most").textContent = original ? drawn.most : "at most " + group(most) + " in " + words(s);
    if (byId("most-traffic")) byId("most-traffic").textContent = original ? drawn.traffic : "at most " + group(mostRequests) + " in " + words(wide);
  };

  const paint = () => {
    const a = Math.max(0, (self.from - view.start) / view.step), b = Math.min(view.bars, (self.to - view.start) / view.step);
    const filled = a <= 0 && b >= view.bars;
    brush.hidden = filled;
    brush.style.left = 100 * a / view.bars + "%";
    brush.style.width = 100 * (b - a) / view.bars + "%";
    from.max = to.max = view.bars;
    from.value = a;
    to.value = b;
    from.setAttribute("aria-valuetext", moment(self.from));
    to.setAttribute("aria-valuetext", moment(self.to));
    range.textContent = self.whole() ? "all of it" : text();
    zoom.hidden = filled || finer() >= view.step;
    out.hidden = view === all;
  };
  // Width of a bar for the chosen time, in milliseconds.
  const finer = () => {
    const floor = Math.max(1, ...data.causes.map(c => c.width));
    const width = WIDTHS.find(w => w % floor === 0 && (self.to - self.from) / 1000 / w <= 150) ?? view.step / 1000;
    return width * 1000;
  };
  const set = (a, b) => {
    a = Math.max(0, Math.min(a, b));
    b = Math.min(view.bars, Math.max(a, b));
    if (a >= b) { a = 0; b = view.bars; }
    self.from = view.start + a * view.step;
    self.to = view.start + b * view.step;
    paint();
    changed();
  };
  self.reset = () => {
    view = all;
    self.from = all.start;
    self.to = all.end;
    draw();
    paint();
  };
  // Exactly this time, and the chart over it.
  zoom.addEventListener("click", () => {
    const step = finer();
    const start = Math.floor(self.from / step) * step, end = Math.ceil(self.to / step) * step;
    view = { start, step, bars: Math.max(1, Math.round((end - start) / step)), end };
    self.from = start;
    self.to = end;
    draw();
    paint();
    changed();
    out.focus();
  });
  out.addEventListener("click", () => { self.reset(); changed(); plot.scrollIntoView({ block: "nearest" }); from.focus(); });

  const place = event => {
    const box = plot.getBoundingClientRect();
    return (event.clientX - box.left) / box.width * view.bars;
  };
  let origin = null;
  const far = here => Math.abs(here - origin) * plot.clientWidth / view.bars >= 4;
  plot.addEventListener("pointerdown", event => {
    if (event.button) return;
    origin = place(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", event => {
    if (origin === null) return;
    const here = place(event);
    if (!far(here)) return;
    self.from = view.start + Math.max(0, Math.floor(Math.min(origin, here))) * view.step;
    self.to = view.start + Math.min(view.bars, Math.ceil(Math.max(origin, here))) * view.step;
    paint();
  });
  plot.addEventListener("pointerup", event => {
    if (origin === null) return;
    const here = place(event), low = Math.floor(Math.min(origin, here)), high = Math.ceil(Math.max(origin, here)), moved = far(here);
    origin = null;
    if (moved) set(low, high); else set(0, view.bars);
  });
  plot.addEventListener("pointercancel", () => { origin = null; });
  from.addEventListener("input", () => set(Math.min(Number(from.value), Math.ceil(Number(to.value)) - 1), Number(to.value)));
  to.addEventListener("input", () => set(Number(from.value), Math.max(Number(to.value), Math.floor(Number(from.value)) + 1)));
  paint();
  return self;
};
