// The dashboard in a browser, as people use it: they look, filter, open a job, follow and search its output, start and
// stop it, log in, lose the node and have it back. What processes print does nothing but stand there.
// `dashboard.js NODE PID SPARE KEYED KEY MANAGER FIRST SECOND`: a node, another one with the same jobs that takes its place
// when it is gone, one that asks for keys, a key of that which may only read, and one that may do more; and two nodes that a
// lookupd knows as n1.test and n2.test.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Browser } = require('./browser.js');
const { Server, main, server, until } = require('./gaffer.js');
const { Line } = require('./line.js');

const [nodePid, spareUrl, keyedUrl, key, manager, firstUrl, secondUrl] = process.argv.slice(3);
const AXE = path.join(process.env.NODE_PATH, 'axe-core/axe.min.js');

let browser;

/** The dashboard at a node, in a tab of its own, as wide as most. */
async function dashboard(url, hash = '') {
  const page = await browser.open('about:blank');
  await page.ask('Runtime.enable');
  browser.listeners.push(({ sessionId, method, params }) => {
    if (sessionId === page.sessionId && method === 'Runtime.exceptionThrown') page.said.push(JSON.stringify(params));
  });
  await size(page, 1280, 800);
  await go(page, `${url}/_dashboard/${hash}`);
  return page;
}

async function go(page, url) {
  const loaded = new Promise((resolve) => (page.loaded = resolve));
  await page.ask('Page.navigate', { url });
  await loaded;
}

function size(page, width, height) {
  return page.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
}

function colours(page, scheme) {
  const features = [{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }];
  return page.ask('Emulation.setEmulatedMedia', { features });
}

/** Waits until something is so in the page, and gives it. */
const sees = (page, what, script, ...args) => until(what, () => page.run(script, ...args));

/** The state of a job in the table, or null. */
const stateOf = (name) => {
  const row = [...document.querySelectorAll('tr.job')].find((row) => row.querySelector('.open').getAttribute('aria-label') === name);
  return row && row.querySelector('.word').textContent;
};

const isIn = (page, name, state) => sees(page, `${name} is ${state}`, `(name, state) => (${stateOf})(name) === state`, name, state);

const isMeasured = () => [...document.querySelectorAll('tr.job .memory .value')].some((one) => / [kM]B$/.test(one.textContent));

/** Presses what has this name for those who do not see it, or these words on it. */
async function press(page, name) {
  await sees(page, `there is ${name}`, (name) => {
    const named = (one) => (one.getAttribute('aria-label') || one.textContent).trim() === name;
    const open = document.querySelector('dialog[open]') || document;
    const found = [...open.querySelectorAll('button')].find((one) => named(one) && one.getClientRects().length && !one.disabled);
    if (found) found.click();
    return Boolean(found);
  }, name);
}

async function types(page, text) {
  await page.ask('Input.insertText', { text });
}

async function hits(page, key) {
  const keys = { Enter: 13, Escape: 27, ArrowDown: 40, ArrowUp: 38, Tab: 9 };
  const text = key.length === 1 ? key : key === 'Enter' ? '\r' : undefined;
  const said = { key, text, windowsVirtualKeyCode: keys[key] || key.toUpperCase().charCodeAt(0) };
  await page.ask('Input.dispatchKeyEvent', { type: 'keyDown', ...said });
  await page.ask('Input.dispatchKeyEvent', { type: 'keyUp', ...said });
}

/** No rule of accessibility is broken by what is seen now, in both themes. */
async function isAccessible(page, what) {
  const axe = fs.readFileSync(AXE, 'utf8');
  for (const scheme of ['light', 'dark']) {
    await colours(page, scheme);
    // The debugger is asked past the policy of the page, which would not let this script in.
    await page.ask('Runtime.evaluate', { expression: `window.axe || ${axe}; 0` });
    const found = await page.run(async () => {
      const { violations } = await axe.run(document, { resultTypes: ['violations'] });
      return violations.map(({ id, nodes }) => [id, nodes.map(({ target, failureSummary }) => [target.join(), failureSummary])]);
    });
    assert.deepStrictEqual(found, [], `${what}, ${scheme}: ${JSON.stringify(found, null, 1)}`);
  }
  await colours(page, 'light');
}

async function jobsAppearAndAreStoppedAndStarted(page) {
  await isIn(page, 'shop.web', 'running');
  await isIn(page, 'shop.mail', 'failed');
  await isIn(page, 'ops.backup', 'stopped');
  const note = await sees(page, 'a note says why', () => {
    const row = [...document.querySelectorAll('tr.job')].find((row) => row.textContent.includes('mail'));
    return row && row.querySelector('.note').textContent;
  });
  assert(note.includes('gave up') && note.includes('code 3'), note);
  await sees(page, 'memory is measured', isMeasured);
  await press(page, 'Start ops.backup');
  await isIn(page, 'ops.backup', 'running');
  await press(page, 'Stop ops.backup');
  await sees(page, 'it is asked first', () => document.activeElement.textContent === 'Cancel');
  await isAccessible(page, 'a dialog');
  await hits(page, 'Escape');
  await isIn(page, 'ops.backup', 'running');
  await press(page, 'Stop ops.backup');
  await press(page, 'Stop');
  await isIn(page, 'ops.backup', 'stopped');
  // What happens elsewhere shows by itself.
  await server.does('POST', '/jobs/ops/backup/state', '1');
  await isIn(page, 'ops.backup', 'running');
}

async function aJobIsScaled(page) {
  const instances = (count) => sees(page, `${count} instances`, (count) => {
    const label = document.querySelector('[aria-label$="of shop.web"].fold-job');
    return label && label.getAttribute('aria-label').startsWith(`${count} `);
  }, count);
  await instances(2);
  await press(page, 'One process more of shop.web');
  await instances(3);
  await press(page, 'One process fewer of shop.web');
  await press(page, 'Scale down');
  await instances(2);
}

async function theKeyboardIsEnough(page) {
  await page.run(() => document.activeElement.blur());
  await hits(page, '/');
  await types(page, 'cat');
  await sees(page, 'one row is left', () => document.querySelectorAll('tr.job').length === 1);
  await hits(page, 'Enter');
  await sees(page, 'the table has the focus', () => document.activeElement.closest('tr.session'));
  await hits(page, 'j');
  await sees(page, 'the job has', () => document.activeElement.getAttribute('aria-label') === 'ops.cat');
  await hits(page, 'Enter');
  await sees(page, 'it is open', () => document.querySelector('#drawer h2').textContent === 'ops.cat');
  await sees(page, 'its tab has the focus', () => document.activeElement.id === 'tab-output');
  await hits(page, 'Escape');
  await sees(page, 'it is closed, and its row has the focus', () => {
    return document.getElementById('drawer').hidden && document.activeElement.getAttribute('aria-label') === 'ops.cat';
  });
  await hits(page, 'Escape');
  await sees(page, 'all are back', () => document.querySelectorAll('tr.job').length > 4);
  await hits(page, '?');
  await sees(page, 'help is shown', () => document.querySelector('dialog[open] table.help'));
  await hits(page, 'Escape');
  await page.run(() => document.querySelector('.chip[data-state=failed]').click());
  await sees(page, 'what failed is left', () => document.querySelectorAll('tr.job').length === 1);
  await page.run(() => document.querySelector('.chip[data-state=failed]').click());
  await page.run(() => [...document.querySelectorAll('thead button')].find((one) => one.textContent === 'Memory').click());
  await sees(page, 'it is sorted', () => document.querySelector('th.memory').getAttribute('aria-sort') === 'descending');
  await page.run(() => [...document.querySelectorAll('thead button')].find((one) => one.textContent === 'Job').click());
}

const lines = () => [...document.querySelectorAll('.entry .text')].map((one) => one.textContent);

async function outputIsFollowedAndSearched(page) {
  await press(page, 'shop.web');
  await sees(page, 'it was written before', `() => (${lines})().some((text) => text.startsWith('GET /items/'))`);
  const last = await page.run(`() => Number((${lines})().pop().match(/\\d+/)[0])`);
  await sees(page, 'more comes', `(last) => Number((${lines})().pop().match(/\\d+/)[0]) > last + 2`, last);
  const green = await page.run(() => document.querySelector('.entry .f2').textContent);
  assert.strictEqual(green, 'GET');
  await isAccessible(page, 'the drawer');
  await page.run(() => document.querySelector('.output-tools input[type=search]').focus());
  await types(page, 'items/[12] ');
  await sees(page, 'what fits is found', `() => {
    const found = (${lines})();
    return found.length >= 2 && found.every((text) => /items\\/[12] /.test(text));
  }`);
  await hits(page, 'Escape');
  await page.run(() => {
    const search = document.querySelector('.output-tools input[type=search]');
    search.value = '(';
    search.dispatchEvent(new Event('input'));
  });
  await sees(page, 'a pattern that is none is told', () => /grep/.test(document.querySelector('.output .error').textContent));
  await press(page, 'Close');
}

async function allOutputIsReachedFromItsEnd(page) {
  await press(page, 'ops.long');
  await sees(page, 'its end is shown', `() => (${lines})().pop() === 'line 6000'`);
  for (let round = 0; round < 10; round += 1) {
    const first = await page.run(() => {
      const box = document.querySelector('.scroller');
      box.scrollTop = 0;
      return box.scrollHeight;
    });
    if (first >= 6000 * 18) break;
    await sees(page, 'more comes before', (first) => document.querySelector('.scroller').scrollHeight > first, first);
  }
  await sees(page, 'its beginning is shown', `() => {
    document.querySelector('.scroller').scrollTop = 0;
    return (${lines})()[0] === 'line 1';
  }`);
  const shown = await page.run(() => [document.querySelector('.scroller').scrollHeight, document.querySelectorAll('.entry').length]);
  assert.strictEqual(shown[0], 6000 * 18, 'each line once');
  assert(shown[1] < 200, `${shown[1]} lines are drawn`);
  await press(page, 'Latest');
  await sees(page, 'its end is shown again', `() => (${lines})().pop() === 'line 6000'`);
  await press(page, 'Close');
}

async function aCrashIsSeenWithItsLastWords(page) {
  await press(page, 'shop.web');
  await press(page, 'Deaths');
  await sees(page, 'none yet', () => document.querySelector('#panel .empty, #panel .death'));
  const { pids } = await server.does('GET', '/jobs/shop/web/pids');
  await server.does('POST', `/${pids[0]}/signal`, { signal: 'SEGV' });
  const told = await sees(page, 'it is told with its last words', () => {
    const death = [...document.querySelectorAll('.death.bad')].find((one) => one.textContent.includes('SIGSEGV'));
    return death && death.querySelector('.words') && death.querySelector('.words').textContent;
  });
  assert(/GET \/items\/\d+ 200/.test(told), told);
  const strip = await sees(page, 'the strip tells it', () => {
    document.getElementById('events-toggle').getAttribute('aria-expanded') === 'true' || document.getElementById('events-toggle').click();
    const found = [...document.querySelectorAll('#events-list .bad')].find((one) => one.textContent.includes('SIGSEGV'));
    return found && found.textContent;
  });
  assert(strip.includes('shop.web #'), strip);
  await isAccessible(page, 'deaths and events');
  await page.run(() => document.getElementById('events-toggle').click());
  await isIn(page, 'shop.web', 'running');
  for (const [tab, wanted] of [['Configuration', 'numprocesses'], ['Processes', 'sleeping'], ['Statistics', 'Descriptors']]) {
    await press(page, tab);
    await sees(page, `${tab} has ${wanted}`, (wanted) => document.getElementById('panel').textContent.includes(wanted), wanted);
    await isAccessible(page, tab);
  }
  await press(page, 'Close');
}

async function aProcessIsWrittenTo(page) {
  await press(page, 'ops.cat');
  await press(page, 'Console');
  await sees(page, 'it takes input', () => {
    const input = document.querySelector('.console-bar input');
    if (!input || !input.getClientRects().length) return false;
    input.focus();
    return true;
  });
  await types(page, 'said in a page 🦀');
  await hits(page, 'Enter');
  await sees(page, 'it answers', `() => (${lines})().includes('said in a page 🦀')`);
  await press(page, 'Output');
  await press(page, 'Close');
}

async function onlyWhatIsLookedAtIsFollowed(page) {
  const follows = (count) => until(`${count} topics are followed`, async () => (await server.counters()).subscriptions === count);
  // What happens, and what is used.
  await follows(2);
  await page.run(() => {
    const { fetch } = window;
    const held = [];
    window.fetch = (...args) => (/\/logs\//.test(args[0]) ? new Promise((resolve) => held.push(() => resolve(fetch(...args)))) : fetch(...args));
    window.letGo = () => {
      window.fetch = fetch;
      held.forEach((go) => go());
      return held.length;
    };
  });
  await press(page, 'ops.long');
  await press(page, 'shop.web');
  for (const tab of ['Console', 'Deaths', 'Output', 'Statistics']) await press(page, tab);
  // Each was left before its first lines came.
  const held = await page.run(() => window.letGo());
  assert.strictEqual(held, 4);
  await press(page, 'Output');
  await sees(page, 'output comes', `() => (${lines})().some((text) => text.startsWith('GET /items/'))`);
  await follows(3);
  await press(page, 'Close');
  await follows(2);
}

async function anAddressThatNamesNoTabOpensTheOutput() {
  const page = await dashboard(server.url, '#ops.html/%');
  await sees(page, 'its output is open', () => document.getElementById('tab-output')?.getAttribute('aria-selected') === 'true');
  await sees(page, 'it is painted on', isMeasured);
  assert.strictEqual(await page.run(() => location.hash), '#ops.html/output');
  assert.deepStrictEqual(page.said, [], 'nothing to complain of');
  await page.ask('Page.navigate', { url: 'about:blank' });
}

async function hostileOutputDoesNoHarm(page) {
  await press(page, 'ops.html');
  const found = await sees(page, 'it stands there', `() => {
    const found = (${lines})();
    return found.length >= 3 && found;
  }`);
  assert(found.includes('<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'), JSON.stringify(found));
  assert(found.includes('title: a cursor b'), `what moves a cursor is left out: ${JSON.stringify(found)}`);
  const seen = await page.run(() => {
    const box = document.querySelector('.scroller');
    return [window.harmed === undefined, box.querySelectorAll('img, script').length, document.title.includes('owned')];
  });
  assert.deepStrictEqual(seen, [true, 0, false]);
  await press(page, 'Deaths');
  await sees(page, 'deaths are looked at', () => document.querySelector('#panel[role=tabpanel] .padded'));
  await press(page, 'Output');
  await press(page, 'Close');
}

async function nothingRunsThatIsNotOfThePage(page) {
  const seen = await page.run(async () => {
    const violated = (make) => new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
      make();
    });
    const add = (name, members) => () => document.body.append(Object.assign(document.createElement(name), members));
    const inline = await violated(add('script', { textContent: 'window.harmed = 1' }));
    const foreign = await violated(add('script', { src: 'http://127.0.0.2/x.js' }));
    const handler = await violated(() => {
      const made = document.createElement('div');
      made.setAttribute('onclick', 'window.harmed = 1');
      document.body.append(made);
      made.click();
    });
    const style = await violated(add('style', { textContent: '* { display: none }' }));
    const asked = await violated(() => fetch('http://127.0.0.2/').catch(() => {}));
    return [inline, foreign, handler, style, asked, window.harmed === undefined];
  });
  assert.deepStrictEqual(seen, ['script-src-elem', 'script-src-elem', 'script-src-attr', 'style-src-elem', 'connect-src', true]);
}

async function nothingIsMeasuredWhileNobodyLooks(page) {
  const hide = (is) => page.run((is) => {
    Object.defineProperty(document, 'hidden', { value: is, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, is);
  await until('it is measured', async () => (await server.counters()).stats_watches === 1);
  await hide(true);
  await until('it is not', async () => (await server.counters()).stats_watches === 0);
  await hide(false);
  await until('it is again', async () => (await server.counters()).stats_watches === 1);
}

async function aKeyThatOnlyReadsHasNoButtons() {
  const page = await dashboard(keyedUrl);
  const enter = async (text) => {
    await sees(page, 'a key is asked for', () => document.querySelector('dialog[open] input'));
    await page.run(() => document.querySelector('dialog[open] input').focus());
    await types(page, text);
    await press(page, 'Log in');
  };
  await sees(page, 'a key is asked for', () => document.querySelector('dialog[open] input'));
  await isAccessible(page, 'the login');
  await enter('0123456789abcdef0123456789abcdef');
  await sees(page, 'it is told that this is none', () => /does not take/.test(document.querySelector('dialog[open] p')?.textContent));
  await enter(key);
  await isIn(page, 'shop.web', 'running');
  await sees(page, 'it is measured', isMeasured);
  const buttons = await page.run(() => [...document.querySelectorAll('.actions button, .drawer-bar button')].filter((one) => one.getClientRects().length).length);
  assert.strictEqual(buttons, 0);
  await press(page, 'shop.web');
  await sees(page, 'its output is read', `() => (${lines})().some((text) => text.startsWith('GET /items/'))`);
  const more = await page.run(() => [...document.querySelectorAll('#drawer button')].filter((one) => one.getClientRects().length).map((one) => one.textContent || one.getAttribute('aria-label')));
  for (const name of ['Stop', 'Start', 'Restart', 'Run once', 'Signal…', 'Console']) assert(!more.includes(name), name);
  // Nobody has told it of the change, so it has asked.
  await new Server(keyedUrl).ask('POST', '/jobs/shop/web/numprocesses', { scale: 1 }, { 'X-Api-Key': manager });
  await sees(page, 'it sees what changes', () => document.querySelector('[aria-label="3 instances of shop.web"]'));
  assert(!(await page.run(() => location.href + JSON.stringify({ ...localStorage }))).includes(key));
  const again = new Promise((resolve) => (page.loaded = resolve));
  await press(page, 'Log out');
  await again;
  await sees(page, 'a key is asked for again', () => document.querySelector('dialog[open] input'));
  assert(!(await page.run(() => JSON.stringify({ ...sessionStorage }))).includes(key));
  // A user has a key made by his name and password.
  const says = async (label, text) => {
    await page.run((label) => {
      const field = [...document.querySelectorAll('dialog .field')].find((one) => one.textContent === label);
      field.querySelector('input').select();
      field.querySelector('input').focus();
    }, label);
    await types(page, text);
  };
  await says('User name', 'joe');
  await says('Password', 'wrong');
  await press(page, 'Log in');
  await sees(page, 'it is told that this is wrong', () => /does not know/.test(document.querySelector('dialog[open] .error')?.textContent));
  await says('Password', 'right-password');
  await press(page, 'Log in');
  await isIn(page, 'shop.web', 'running');
}

async function whereWebsocketsAreBlockedRequestsCarryTheSame() {
  for (const [blocks, transport] of [[/^GET \S*\/websocket /, 'xhr_streaming'], [/^(GET \S*\/websocket|POST \S*\/xhr_streaming) /, 'xhr']]) {
    const line = await Line.to(new URL(server.url).port);
    line.blocks = blocks;
    const page = await dashboard(line.url);
    await isIn(page, 'shop.web', 'running');
    await sees(page, 'it is measured', isMeasured);
    await press(page, 'shop.web');
    await sees(page, 'output comes', `() => (${lines})().length > 3`);
    const asked = line.exchanges.map(({ path }) => path.split('/').pop());
    assert(asked.includes(transport), asked.join());
    await page.ask('Page.navigate', { url: 'about:blank' });
    line.close();
  }
}

async function aNodeThatIsLostComesBack() {
  const line = await Line.to(new URL(server.url).port);
  const page = await dashboard(line.url, '#shop.web/output');
  await isIn(page, 'shop.web', 'running');
  await sees(page, 'output comes', `() => (${lines})().length > 3`);
  process.kill(Number(nodePid), 'SIGTERM');
  const told = await sees(page, 'it says that it is lost', () => {
    const banner = document.getElementById('banner');
    return !banner.hidden && /last seen \d+ s ago/.test(banner.textContent) && banner.textContent;
  });
  assert(told.startsWith('Disconnected'), told);
  assert(await page.run(() => document.body.classList.contains('stale')), 'numbers are not shown as live');
  await isAccessible(page, 'a lost node');
  line.port = new URL(spareUrl).port;
  await sees(page, 'it is back', () => document.getElementById('banner').hidden && !document.body.classList.contains('stale'));
  await isIn(page, 'shop.web', 'running');
  const height = () => document.querySelector('.scroller').scrollHeight;
  const last = await page.run(height);
  await sees(page, 'output goes on', `(last) => (${height})() > last`, last);
  line.close();
}

async function nodesThatNameEachOtherStandInOneTable() {
  const page = await dashboard('http://n1.test');
  await isIn(page, 'one.web on n1.test', 'running');
  await isIn(page, 'two.web on n2.test', 'running');
  const names = () => [...document.querySelectorAll('tr.job td.node')].map((one) => one.textContent).sort();
  await sees(page, 'each says where it is', `() => (${names})().join() === 'n1.test,n2.test'`);
  await press(page, 'Stop two.web on n2.test');
  await press(page, 'Stop');
  await isIn(page, 'two.web on n2.test', 'stopped');
  await press(page, 'two.web on n2.test');
  await sees(page, 'its output is read', `() => (${lines})().includes('from n2')`);
  await press(page, 'Close');
  await isAccessible(page, 'several nodes');
  await page.run(() => {
    const choice = document.getElementById('node-choice');
    choice.value = [...choice.options].find((one) => one.textContent === 'n2.test').value;
    choice.dispatchEvent(new Event('change'));
  });
  await sees(page, 'one node is left', `() => (${names})().join() === 'n2.test'`);
  // One that was not told of this page refuses it, and the page says what to do.
  await press(page, 'Add nodes…');
  await sees(page, 'an address is asked for', () => document.activeElement.matches('dialog input'));
  await types(page, new URL(server.url).host);
  await press(page, 'Add');
  await sees(page, 'it says how it would do', () => /--origin http:\/\/n1\.test/.test(document.querySelector('dialog .error').textContent));
  await hits(page, 'Escape');
  await page.ask('Page.navigate', { url: 'about:blank' });
}

main(
  async () => {
    const at = (name, url) => `MAP ${name}:80 ${new URL(url).host}`;
    browser = await Browser.start([`--host-resolver-rules=${at('n1.test', firstUrl)},${at('n2.test', secondUrl)}`]);
  },
  async () => {
    try {
      const page = await dashboard(server.url);
      await jobsAppearAndAreStoppedAndStarted(page);
      await isAccessible(page, 'the table');
      await aJobIsScaled(page);
      await theKeyboardIsEnough(page);
      await outputIsFollowedAndSearched(page);
      await allOutputIsReachedFromItsEnd(page);
      await aCrashIsSeenWithItsLastWords(page);
      await aProcessIsWrittenTo(page);
      await hostileOutputDoesNoHarm(page);
      await onlyWhatIsLookedAtIsFollowed(page);
      await nothingIsMeasuredWhileNobodyLooks(page);
      // But for what was refused because a pattern was none, or an older node does not know it.
      const said = page.said.filter((text) => !/status of 40[04]/.test(text));
      assert.deepStrictEqual(said, [], 'nothing to complain of');
      await nothingRunsThatIsNotOfThePage(page);
      await page.ask('Page.navigate', { url: 'about:blank' });
      await anAddressThatNamesNoTabOpensTheOutput();
      await aKeyThatOnlyReadsHasNoButtons();
      await nodesThatNameEachOtherStandInOneTable();
      await whereWebsocketsAreBlockedRequestsCarryTheSame();
      await aNodeThatIsLostComesBack();
    } finally {
      await browser.close();
    }
  },
);
