// The lab's JSON service: logs as pino-http does, and fails in the ways it is told to.
// node api.js ADDRESS PORT LOG [MODE]...; modes: block, fatal, hog, poll, silent.
const fs = require('fs');
const http = require('http');
const [address, port, file, ...modes] = process.argv.slice(2);
const has = (mode) => modes.includes(mode);
const out = fs.openSync(file, 'a');
let count = 0;
function say(level, msg, more = {}) {
  fs.writeSync(out, JSON.stringify({ level, time: Date.now(), pid: process.pid, hostname: 'web1', ...more, msg }) + '\n');
}
const brief = (req) => ({
  id: ++count, method: req.method, url: req.url, host: req.headers.host,
  headers: { 'user-agent': req.headers['user-agent'], ...(has('ray') ? { 'cf-ray': req.headers['cf-ray'] } : {}) },
  remoteAddress: req.socket.remoteAddress,
});
const waiting = [];
setInterval(() => { for (const r of waiting.splice(0, Math.ceil(waiting.length / 3))) r(); }, 900).unref();
const prices = new Map();
function quote(id) { return prices.get(id).net * 1.19; }

const server = http.createServer((req, res) => {
  const began = process.hrtime.bigint();
  const info = brief(req);
  const agent = req.headers['user-agent'] || '';
  if (has('block') && /scrapy|python-requests|Go-http-client/i.test(agent)) {
    say(40, 'blocked agent, socket destroyed', { req: info });
    req.socket.destroy();
    return;
  }
  if (has('silent') && /^\/v1\/(items|search)/.test(req.url) && Math.random() < 0.12) {
    setTimeout(() => req.socket.destroy(), Math.random() * 60);
    return;
  }
  const finish = (status, body) => {
    const text = JSON.stringify(body);
    res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
    res.end(text);
    if (has('silent')) return;
    const ms = Number((process.hrtime.bigint() - began) / 1000000n);
    say(status >= 500 ? 50 : 30, status >= 500 ? 'request errored' : 'request completed', { req: info, res: { statusCode: status }, responseTime: ms });
  };
  req.resume();
  req.on('end', () => {
    if (has('hog') && req.url.startsWith('/v1/export')) {
      const kept = [];
      for (let i = 0; i < 150; i++) kept.push(Buffer.alloc(6 << 20, i + 1));
      return finish(200, { parts: kept.length });
    }
    if (has('poll') && req.url.startsWith('/v1/poll')) {
      waiting.push(() => finish(200, { events: [] }));
      return;
    }
    setTimeout(() => {
      if (has('fatal') && req.url.startsWith('/v1/quote')) quote(req.url);
      if (req.url.startsWith('/v1/orders')) say(30, 'order stored', { order: count, ms: 12 });
      const missing = /^\/(ads\.txt|humans\.txt|apple-touch|img\/missing|\.|wp-|xmlrpc|phpinfo)/.test(req.url);
      finish(missing ? 404 : req.url.startsWith('/upkeep/') ? 503 : req.url.startsWith('/widget/') ? 500 : 200, { ok: !missing, path: req.url, pad: 'x'.repeat(req.url.length * 40) });
    }, req.url.startsWith('/v1/slow') ? 1200 : 3 + Math.random() * 35);
  });
});
server.keepAliveTimeout = 900000;
server.headersTimeout = 905000;
server.requestTimeout = 0;
server.listen(Number(port), address, () => say(30, `Server listening at http://${address}:${port}`));
