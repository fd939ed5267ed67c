// The lab's Node application: ordinary pages, a combined log of its own, and paths that fail.
// node shop.js ADDRESS PORT LOG [KEEPALIVE-MS]
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const [address, port, file, keepAlive] = process.argv.slice(2);
const log = fs.createWriteStream(file, { flags: 'a' });
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (n) => String(n).padStart(2, '0');
function clf(d) {
  return `${two(d.getUTCDate())}/${MONTHS[d.getUTCMonth()]}/${d.getUTCFullYear()}:${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} +0000`;
}
const server = http.createServer((req, res) => {
  const at = new Date();
  if (req.url.startsWith('/api/v2/search')) {
    setTimeout(() => {
      console.error(`${at.toISOString()} error: search ${req.url}: index closed, dropping the connection`);
      req.socket.destroy();
    }, 2 + Math.random() * 40);
    return;
  }
  req.resume();
  req.on('end', () => {
    setTimeout(() => {
      const digest = crypto.createHash('md5').update(req.url).digest('hex');
      const api = req.url.startsWith('/api/');
      const missing = /^\/(ads\.txt|humans\.txt|apple-touch|img\/missing)/.test(req.url);
      const body = api ? JSON.stringify({ ok: true, id: digest }) : `<p>${digest}</p>\n`.repeat(60 + parseInt(digest.slice(0, 2), 16));
      res.writeHead(missing ? 404 : req.url.startsWith('/upkeep/') ? 503 : req.url.startsWith('/widget/') ? 500 : 200, {
        'Content-Type': api ? 'application/json' : 'text/html', 'Content-Length': Buffer.byteLength(body),
      });
      res.end(body);
      const agent = req.headers['user-agent'] || '-', referer = req.headers.referer || '-';
      log.write(`${req.socket.remoteAddress} - - [${clf(at)}] "${req.method} ${req.url} HTTP/${req.httpVersion}" ${res.statusCode} ${Buffer.byteLength(body)} "${referer}" "${agent}"\n`);
    }, 2 + Math.random() * (req.url.startsWith('/api/') ? 10 : 40));
  });
});
if (keepAlive) server.keepAliveTimeout = Number(keepAlive);
server.listen(Number(port), address);
