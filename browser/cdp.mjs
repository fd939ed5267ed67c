// A driver for headless Chromium over the DevTools protocol, by pipe: no port, no package.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Starts the browser that CHROMIUM names, else the first of the usual ones. */
export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), "cfray-browser-"));
  const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : NAMES;
  const flags = ["--headless=new", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "--no-first-run", "--no-default-browser-check",
    "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--metrics-recording-only",
    // In containers the browser runs as root and has no room in /dev/shm.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage", "about:blank"];
  for (const name of names) {
    const child = spawn(name, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    const started = await new Promise(done => { child.once("spawn", () => done(true)); child.once("error", () => done(false)); });
    if (started) return new Browser(child, profile);
  }
  rmSync(profile, { recursive: true, force: true });
  throw new Error(`no browser: tried ${names.join(", ")}; set CHROMIUM to the path of one`);
}

class Browser {
  constructor(child, profile) {
    this.child = child;
    this.profile = profile;
    this.last = 0;
    this.waiting = new Map();
    this.listeners = new Set();
    let rest = Buffer.alloc(0);
    child.stdio[4].on("data", bytes => {
      rest = Buffer.concat([rest, bytes]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) this.take(JSON.parse(rest.subarray(0, end).toString()));
    });
    child.once("exit", code => {
      for (const { fail } of this.waiting.values()) fail(new Error(`the browser ended with ${code}`));
      this.waiting.clear();
    });
  }

  take(message) {
    if (message.id) {
      const { done, fail, method } = this.waiting.get(message.id) ?? {};
      this.waiting.delete(message.id);
      if (message.error) fail?.(new Error(`${method}: ${message.error.message}`)); else done?.(message.result);
    } else {
      for (const listener of this.listeners) listener(message);
    }
  }

  send(method, params = {}, sessionId) {
    const id = ++this.last;
    return new Promise((done, fail) => {
      this.waiting.set(id, { done, fail, method });
      this.child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    });
  }

  /** A tab of its own. */
  async page({ width = 1280, height = 900, dark = false, script = true, phone = false } = {}) {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    await page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: phone });
    await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    if (!script) await page.send("Emulation.setScriptExecutionDisabled", { value: true });
    await page.send("Page.addScriptToEvaluateOnNewDocument", { source: "addEventListener('securitypolicyviolation', e => (window.violations ??= []).push(e.violatedDirective + ' ' + e.blockedURI));" });
    return page;
  }

  async close() {
    const gone = new Promise(done => this.child.once("exit", done));
    this.send("Browser.close").catch(() => {});
    await gone;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  constructor(browser, session, target) {
    this.browser = browser;
    this.session = session;
    this.target = target;
    /** What must not happen: errors in the console, dialogs, requests to anywhere. */
    this.troubles = [];
    this.handlers = new Map();
    this.listener = message => {
      if (message.sessionId === session) this.heard(message.method, message.params);
    };
    browser.listeners.add(this.listener);
  }

  heard(method, params) {
    if (method === "Runtime.exceptionThrown") this.troubles.push(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) this.troubles.push(`console.${params.type}: ${params.args.map(a => a.value ?? a.description).join(" ")}`);
    if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) this.troubles.push(`log: ${params.entry.text}`);
    if (method === "Page.javascriptDialogOpening") {
      this.troubles.push(`dialog: ${params.message}`);
      this.send("Page.handleJavaScriptDialog", { accept: false }).catch(() => {});
    }
    if (method === "Network.requestWillBeSent" && params.request.url !== this.url && !params.request.url.startsWith("data:")) this.troubles.push(`request: ${params.request.url}`);
    if (method === "Page.frameNavigated" && !params.frame.parentId && params.frame.url !== this.url) this.troubles.push(`navigated: ${params.frame.url}`);
    this.handlers.get(method)?.(params);
    this.handlers.delete(method);
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  once(method) {
    return new Promise(done => this.handlers.set(method, done));
  }

  /** Opens a file and waits until its script is done. */
  async open(file, { ready = true } = {}) {
    this.url = pathToFileURL(file).href;
    const loaded = this.once("Page.loadEventFired");
    await this.send("Page.navigate", { url: this.url });
    await loaded;
    if (ready) await this.until("document.documentElement.classList.contains('ready')");
  }

  /** The value of an expression or of a function's call in the page. */
  async eval(code, ...args) {
    const expression = typeof code === "function" ? `(${code})(${args.map(a => JSON.stringify(a)).join(",")})` : code;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async until(code, ...args) {
    for (let tries = 0; tries < 400; tries++) {
      if (await this.eval(code, ...args)) return;
      await new Promise(done => setTimeout(done, 25));
    }
    throw new Error(`never true: ${code}`);
  }

  async key(name, { shift = false, text } = {}) {
    const codes = { Tab: 9, Enter: 13, " ": 32, ArrowLeft: 37, ArrowRight: 39, Home: 36, End: 35 };
    const event = { key: name, code: name === " " ? "Space" : name, windowsVirtualKeyCode: codes[name], modifiers: shift ? 8 : 0, text: text ?? { Enter: "\r", " ": " " }[name] };
    await this.send("Input.dispatchKeyEvent", { type: event.text ? "keyDown" : "rawKeyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  type(text) {
    return this.send("Input.insertText", { text });
  }

  mouse(type, x, y) {
    return this.send("Input.dispatchMouseEvent", { type, x, y, button: type === "mouseMoved" ? "none" : "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1 });
  }

  async click(selector) {
    const { x, y } = await this.eval(s => {
      const e = document.querySelector(s);
      e.scrollIntoView({ block: "center" });
      const box = e.getBoundingClientRect();
      return { x: box.left + Math.min(box.width / 2, 20), y: box.top + box.height / 2 };
    }, selector);
    await this.mouse("mousePressed", x, y);
    await this.mouse("mouseReleased", x, y);
  }

  /** Drags over an element from one share of its width to another. */
  async drag(selector, from, to) {
    const box = await this.eval(s => {
      const e = document.querySelector(s);
      e.scrollIntoView({ block: "center" });
      return e.getBoundingClientRect().toJSON();
    }, selector);
    const y = box.top + box.height / 2;
    await this.mouse("mousePressed", box.left + box.width * from, y);
    for (let i = 1; i <= 5; i++) await this.send("Input.dispatchMouseEvent", { type: "mouseMoved", x: box.left + box.width * (from + (to - from) * i / 5), y, button: "left", buttons: 1 });
    await this.mouse("mouseReleased", box.left + box.width * to, y);
  }

  /** A picture of the page, or of `height` pixels of it from `top`, as PNG. */
  async shot({ top = 0, height } = {}) {
    const size = await this.eval("({ width: document.documentElement.clientWidth, height: document.documentElement.scrollHeight })");
    const clip = { x: 0, y: top, width: size.width, height: Math.min(height ?? size.height, size.height - top), scale: 1 };
    const { data } = await this.send("Page.captureScreenshot", { format: "png", clip, captureBeyondViewport: true });
    return Buffer.from(data, "base64");
  }

  async close() {
    this.browser.listeners.delete(this.listener);
    await this.browser.send("Target.closeTarget", { targetId: this.target });
  }
}
