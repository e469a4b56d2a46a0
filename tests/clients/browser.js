// A headless Chromium of its own, driven over a pair of pipes.
'use strict';

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { soon } = require('./gaffer.js');

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
];

class Browser {
  /** One with flags of its own besides. */
  static async start(own = []) {
    const browser = new Browser();
    browser.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'browser-'));
    const flags = [...FLAGS, ...own, `--user-data-dir=${browser.folder}`, 'about:blank'];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    browser.child = spawn('chromium', flags, { stdio });
    browser.ended = new Promise((resolve) => browser.child.once('exit', resolve));
    // When it is gone, what was asked of it is never answered, which its asker sees.
    browser.child.stdio[3].on('error', () => {});
    [browser.last, browser.asked, browser.listeners] = [0, new Map(), []];
    let ahead = '';
    browser.child.stdio[4].setEncoding('utf8').on('data', (piece) => {
      const messages = (ahead + piece).split('\0');
      ahead = messages.pop();
      messages.map((text) => JSON.parse(text)).forEach((message) => browser.take(message));
    });
    await browser.ask('Browser.getVersion');
    return browser;
  }

  take(message) {
    const answered = this.asked.get(message.id);
    this.asked.delete(message.id);
    if (answered) answered(message);
    else this.listeners.forEach((listener) => listener(message));
  }

  async ask(method, params = {}, sessionId = undefined) {
    this.last += 1;
    const id = this.last;
    const answered = new Promise((resolve) => this.asked.set(id, resolve));
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await soon(method, answered);
    assert(!error, `${method}: ${JSON.stringify(error)}`);
    return result;
  }

  /** A page at a URL. */
  async open(url) {
    const { targetId } = await this.ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.ask('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await page.ask('Page.enable');
    await page.ask('Log.enable');
    const loaded = new Promise((resolve) => (page.loaded = resolve));
    const { errorText } = await page.ask('Page.navigate', { url });
    assert(!errorText, `${url}: ${errorText}`);
    await soon(`${url} is loaded`, loaded);
    return page;
  }

  async close() {
    // It may be gone before it answers.
    this.child.stdio[3].write(`${JSON.stringify({ id: -1, method: 'Browser.close' })}\0`);
    await soon('the browser ends', this.ended).catch(() => this.child.kill('SIGKILL'));
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  constructor(browser, sessionId) {
    [this.browser, this.sessionId, this.said] = [browser, sessionId, []];
    browser.listeners.push((message) => {
      if (message.sessionId !== sessionId) return;
      if (message.method === 'Page.loadEventFired') this.loaded();
      if (message.method === 'Log.entryAdded') this.said.push(message.params.entry.text);
    });
  }

  ask(method, params) {
    return this.browser.ask(method, params, this.sessionId);
  }

  /** Runs a function with arguments in the page, as if a person had asked for it, and gives what it comes to. */
  async run(script, ...args) {
    const expression = `(${script})(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.ask('Runtime.evaluate', options);
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  }
}

module.exports = { Browser };
