// One request, told in order: what Cloudflare logged and what the origin wrote, on one clock.

const tellRequest = (data, r) => {
  const { at, get, item } = data;
  const box = make("div", data.colour(r));
  const begin = r[at.start], end = r[at.end] ?? begin;
  const steps = [], loose = [];
  const add = (ms, order, side, head, more) => (ms === null || ms === undefined ? loose : steps).push({ ms, order, side, head, ...more });
  const request = [get(r, "method"), (get(r, "host") ?? "") + (get(r, "uri") ?? "")].filter(Boolean).join(" ");
  const client = get(r, "client"), colo = get(r, "colo"), edge = get(r, "edge_ip"), origin = get(r, "origin_ip"), place = get(r, "place");
  add(begin, 0, "edge", "Cloudflare" + (colo ? " " + colo : "") + " receives the request" + (client ? " from " + client : ""), { text: request, place });
  if (edge || origin) {
    const took = r[at.duration_ms] ?? r[at.header_ms];
    const connection = get(r, "connection");
    const how = connection === "reused" ? "on a connection it reuses" + (r[at.idle_s] === null ? "" : ", idle for " + r[at.idle_s] + " s before")
      : connection === "new" ? "on a new connection: TCP " + (r[at.tcp_ms] ?? "?") + " ms, TLS " + (r[at.tls_ms] ?? "?") + " ms" : "";
    const asks = "asks the origin" + (origin ? " " + origin : "") + (edge ? " from " + edge : "") + (how ? ", " + how : "");
    // Not logged: the answer's end less the time that the origin took.
    const when = end !== null && took !== null ? Math.max(begin ?? 0, end - took) : begin;
    add(when, 1, "edge", asks + (r[at.header_ms] === null ? "" : "; waits " + r[at.header_ms] + " ms for an answer"), { about: true });
  } else if (get(r, "connection") === "none") {
    add(begin, 1, "edge", "does not ask the origin");
  }
  const known = new Set();
  for (const n of r[at.lines]) {
    const line = item(n);
    known.add(line.place);
    add(line.ms, 2, "origin", line.kind, { text: line.text, place: line.place, error: line.error });
  }
  const reasons = [];
  for (const n of r[at.proofs]) {
    const proof = item(n);
    if (proof.kind !== "line" && proof.kind !== "config") reasons.push(proof.text);
    else if (!known.has(proof.place)) add(proof.ms, 2, "origin", proof.kind === "config" ? "configuration" : "near in time", { text: proof.text, place: proof.place, about: true });
  }
  add(end, 3, "edge", "Cloudflare answers " + r[at.status] + (begin === null || end === null ? "" : " after " + (end - begin) + " ms")
    + (r[at.origin_status] === null ? "" : "; status from the origin: " + (r[at.origin_status] || "none")));
  if (r[at.cleared_s] !== null && end !== null) add(end + r[at.cleared_s] * 1000, 4, "edge", "the same works again");
  steps.sort((a, b) => a.ms - b.ms || a.order - b.order);

  const story = make("ol", "story");
  for (const step of steps.concat(loose)) {
    const li = make("li", step.side);
    const head = make("p", "head");
    if (step.ms !== null && step.ms !== undefined) {
      const offset = begin === null ? "" : " " + (step.ms < begin ? "−" : "+") + (Math.abs(step.ms - begin) / 1000).toFixed(3) + " s";
      head.append(make("time", "", (step.about ? "≈" : "") + iso(step.ms).slice(11, 23) + offset + (step.error >= 100 ? " ±" + (step.error / 1000).toFixed(1) + " s" : "")));
    } else {
      head.append(make("time", "", "clock not known"));
    }
    head.append(make("span", "side", step.side), make("span", "", step.head));
    li.append(head);
    if (step.text) li.append(make("code", "raw", step.text));
    if (step.place) li.append(make("code", "dim place", step.place));
    story.append(li);
  }
  const why = make("div", "why");
  why.append(make("h3", "", "Verdict"));
  const sure = get(r, "cause") === "unknown" ? "not explained" : get(r, "cause") + ", sure " + r[at.sure].toFixed(2);
  why.append(make("p", "", sure + (get(r, "runner_up") ? "; next likely: " + get(r, "runner_up") + " " + r[at.runner_sure].toFixed(2) : "")));
  if (reasons.length) {
    const list = make("ul", "reasons");
    for (const reason of reasons) list.append(make("li", "", reason));
    why.append(list);
  }
  if (get(r, "missing")) why.append(make("p", "", "Would be surer with: " + get(r, "missing")));

  const dl = make("dl", "fields");
  const field = (name, value) => {
    if (value === null || value === undefined) return;
    const div = make("div");
    div.append(make("dt", "", name), make("dd", "", value === "" ? "(empty)" : value));
    dl.append(div);
  };
  for (const [name, key] of [["tied", "tie"], ["server", "server"], ["origin address", "origin_ip"], ["edge address", "edge_ip"], ["TLS to origin", "tls"], ["cache", "cache"],
    ["request source", "request_source"], ["parent ray", "parent"], ["country", "country"], ["user agent", "agent"], ["retry", "retry"]]) field(name, get(r, key));
  for (const [name, key] of [["AS", "asn"], ["TCP ms", "tcp_ms"], ["TLS ms", "tls_ms"], ["header ms", "header_ms"], ["origin ms", "duration_ms"], ["request bytes", "bytes"],
    ["idle s", "idle_s"], ["episode", "episode"]]) field(name, r[at[key]]);
  if (!r[at.counted]) field("counted", "no, an internal request");
  box.append(make("h3", "", "Edge and origin on one clock"), story, why, dl);
  return box;
};
