// The lab's Node application as a process manager runs it: workers that share a port, and a manager
// that starts them again. node cluster.js ADDRESS PORT LOG KILLS; LOG is in PM2's form, KILLS is for the lab's labels.
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');
const [address, port, file, kills] = process.argv.slice(2);
// Workers accept for themselves: what the manager hands to a dying worker would never be answered.
cluster.schedulingPolicy = cluster.SCHED_NONE;
if (cluster.isPrimary) {
  const say = (text) => fs.appendFileSync(file, `${new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 19)}: PM2 log: ${text}\n`);
  const names = new Map();
  const start = (id) => {
    names.set(cluster.fork().id, id);
    say(`App [store:${id}] starting in -cluster mode-`);
  };
  cluster.on('online', (w) => say(`App [store:${names.get(w.id)}] online`));
  cluster.on('exit', (w, code, signal) => {
    fs.appendFileSync(kills, `${Date.now()}\n`);
    say(`App [store:${names.get(w.id)}] exited with code [${code || 0}] via signal [${signal || 'SIGINT'}]`);
    start(names.get(w.id));
  });
  for (let i = 0; i < 3; i++) start(i);
} else {
  const answer = (req, res, body) => {
    res.writeHead(req.url.startsWith('/widget/') ? 500 : 200, { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(body) });
    res.end(body);
  };
  http.createServer((req, res) => {
    req.resume();
    if (req.url.startsWith('/catalog/export')) {
      const kept = [];
      for (let i = 0; i < 150; i++) kept.push(Buffer.alloc(6 << 20, i + 1));
      answer(req, res, `${kept.length} parts`);
      return;
    }
    const ms = req.url.startsWith('/reports/build') ? 700 : 3 + Math.random() * 40;
    setTimeout(() => answer(req, res, '<p>lorem ipsum</p>\n'.repeat(40 + req.url.length * 3)), ms);
  }).listen(Number(port), address);
}
