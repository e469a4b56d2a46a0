// Pictures of the dashboard for the README, after it was looked at for so long that there is something to see.
// `pictures.js NODE PID`, with the folder for them in SCREENSHOTS.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Browser } = require('./browser.js');
const { main, server, until } = require('./gaffer.js');

const FOLDER = process.env.SCREENSHOTS;
// So long the page is open before: the lines of the table show five minutes.
const OPEN = 310_000;

main(async () => {
  const { host } = new URL(server.url);
  const browser = await Browser.start([`--host-resolver-rules=MAP shop1.example:80 ${host}`]);
  try {
    const page = await browser.open('http://shop1.example/_dashboard/');
    const look = async (name, scheme, width, height) => {
      await page.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
      await page.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
      // Twice painted, in the new size.
      await page.run(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 1200))));
      const { data } = await page.ask('Page.captureScreenshot', { format: 'webp', quality: 90 });
      fs.writeFileSync(path.join(FOLDER, `${name}.webp`), Buffer.from(data, 'base64'));
    };
    const open = (name, tab) => page.run((name, tab) => {
      [...document.querySelectorAll('.open')].find((one) => one.getAttribute('aria-label') === name).click();
      document.getElementById(`tab-${tab}`).click();
      document.activeElement.blur();
    }, name, tab);
    const close = () => page.run(() => {
      document.querySelector('#drawer [aria-label=Close]').click();
      document.activeElement.blur();
    });
    await page.ask('Emulation.setDeviceMetricsOverride', { width: 1280, height: 760, deviceScaleFactor: 1, mobile: false });
    await until('jobs are shown', () => page.run(() => document.querySelectorAll('tr.job').length > 3));
    await new Promise((resolve) => setTimeout(resolve, OPEN));
    await look('light', 'light', 1280, 760);
    await open('shop.web', 'output');
    await look('output', 'dark', 1280, 760);
    await close();
    await open('shop.search', 'statistics');
    await look('statistics', 'light', 1280, 760);
    await close();
    await look('phone', 'light', 390, 760);
  } finally {
    await browser.close();
  }
});
