// Drives a site in Chromium as REQUEST.json says; prints one line of JSON. What a person does: open pictures, read,
// press keys, save. `steps` are done in order, and each answers with what the page then says.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const browser = await chromium.launch({ executablePath: request.chromium, args: ["--no-sandbox", ...(request.flags ?? [])] });
const page = await browser.newPage({ viewport: { width: request.width ?? 1280, height: 900 } });
page.setDefaultTimeout(120_000);
const complaints = [];
page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.stack));
page.on("request", (sent) => new URL(sent.url()).origin !== new URL(request.url).origin && !/^(blob|data):/.test(sent.url()) && complaints.push(`asked for ${sent.url()}`));

const said = () =>
  page.evaluate(() => ({
    facts: Object.fromEntries([...document.querySelectorAll("#facts dt")].map((term) => [term.textContent, term.nextSibling.textContent])),
    error: document.querySelector("#error:not([hidden])")?.textContent ?? null,
    picture: document.querySelector("#view").getAttribute("aria-label"),
    shares: [...document.querySelectorAll("#legend li")].map((item) => item.innerText.replace(/\s+/g, " ").trim()),
    spoken: document.querySelector("#spoken").textContent,
    wide: document.documentElement.scrollWidth > innerWidth,
    controls: document.querySelectorAll("#sources:not([hidden])").length,
  }));
const settled = () => page.waitForFunction(() => document.querySelector("#busy").textContent === "");
const steps = {
  async picture(path) {
    await page.evaluate(() => (document.querySelector("#error").hidden = true));
    await page.setInputFiles("#file", path);
    await page.waitForFunction(() => document.querySelector("#busy").textContent !== "" || !document.querySelector("#error").hidden || document.querySelector("#facts").textContent.includes("Picture"));
    await settled();
  },
  async sample() {
    await page.click("button[data-sample]");
    await page.waitForSelector("#work:not([hidden]), #error:not([hidden])");
    await settled();
  },
  async camera(milliseconds) {
    await page.click("#camera");
    await page.waitForFunction(() => document.querySelector("#facts").textContent.includes("frames a second") || !document.querySelector("#error").hidden);
    await page.waitForTimeout(milliseconds);
    await page.click("#camera");
  },
  async save([button, path]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
    await download.saveAs(path);
  },
  show: (value) => page.selectOption("#show", value),
  async keys(names) {
    await page.focus("#view");
    for (const name of names) await page.keyboard.press(name);
  },
  /** What each Tab reaches, by its accessible text. */
  async tabs(count) {
    const reached = [];
    for (let i = 0; i < count; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => {
        const { activeElement: at } = document;
        return at.getAttribute("aria-label") || at.labels?.[0]?.innerText?.trim() || at.innerText?.trim() || at.tagName;
      }));
    }
    return { reached };
  },
  screenshot: (path) => page.screenshot({ path, fullPage: true }),
};

await page.goto(request.url);
await page.waitForSelector("#sources:not([hidden]), #error:not([hidden])");
const answers = [await said()];
for (const [name, argument] of request.steps) {
  const more = await steps[name](argument);
  answers.push({ ...(await said()), ...(more?.reached ? more : {}) });
}
await browser.close();
console.log(JSON.stringify({ answers, complaints }));
