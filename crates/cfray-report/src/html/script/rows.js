"use strict";
// What every part of the page uses: small helpers, and the rows behind the table. Text only ever becomes text.

const byId = id => document.getElementById(id);
const make = (tag, cls, text) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined && text !== null) e.textContent = text;
  return e;
};
const group = n => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const iso = ms => new Date(ms).toISOString();
const moment = ms => ms === null ? "" : iso(ms).slice(0, 19).replace("T", " ");
const share = (part, whole) => {
  if (!whole) return "";
  const percent = 100 * part / whole;
  return part && percent < 1 ? "<1 %" : part < whole && percent > 99 ? ">99 %" : Math.round(percent) + " %";
};

// Rows are packed: texts once, each row a list of numbers. `get` gives a member by its name.
const unpack = async () => {
  const packed = byId("data").textContent;
  let bytes = Uint8Array.fromBase64?.(packed);
  if (!bytes) {
    const text = atob(packed);
    bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const data = JSON.parse(await new Response(stream).text());
  const at = {};
  data.n.forEach((name, i) => { at[name] = i; });
  const texts = new Set(["host", "method", "uri", "path", "client", "country", "agent", "colo", "edge_ip", "origin_ip", "tls", "cache", "request_source", "server",
    "connection", "cause", "tie", "missing", "runner_up", "retry", "place", "parent"]);
  const get = (row, name) => {
    const v = row[at[name]];
    return v === null ? null : texts.has(name) ? data.s[v] : v;
  };
  const item = n => {
    const [kind, source, line, ms, text, error] = data.e[n];
    return { kind: data.s[kind], place: data.s[source] ? data.s[source] + (line === null ? "" : ":" + line) : "", ms, text: data.s[text], error };
  };
  const names = ["ray", "host", "method", "uri", "client", "country", "agent", "colo", "edge_ip", "origin_ip", "cause", "place", "server"];
  const lower = new Array(data.r.length);
  const haystack = i => lower[i] ??= names.map(n => get(data.r[i], n) ?? "")
    .concat(data.r[i][at.proofs].concat(data.r[i][at.lines]).map(n => item(n).place + " " + item(n).text)).join("\n").toLowerCase();
  // Counts over time: [start in seconds, number].
  const times = t => {
    const list = [];
    for (let i = 0, last = 0; i < t.b.length; i += 2) {
      last += t.b[i];
      list.push([last * t.w, t.b[i + 1]]);
    }
    return { width: t.w, list };
  };
  return {
    rows: data.r, at, get, item, haystack,
    colour: row => data.k[row[at.cause]],
    traffic: times(data.t),
    causes: data.c.map(([text, t]) => ({ name: data.s[text], colour: data.k[text], ...times(t) })),
  };
};
