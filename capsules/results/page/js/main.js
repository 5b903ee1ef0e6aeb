// Starts the page: the content is inflated, each place gets its charts, the address opens a unit.

const explorers = {};
// When everything can be used, in milliseconds after the page was asked for.
let usableAt = null;
const sortings = [];

// Made when the reader comes near its units or opens one of them, else when the browser has nothing else to do.
function explorerOf(id) {
  const sorting = sortings.find((one) => one.id === id);
  if (!sorting?.units) return undefined;
  const place = document.querySelector(`[data-units="${CSS.escape(id)}"]`);
  explorers[id] ??= new Explorer(place, sorting);
  return explorers[id];
}

function unitPlace(hash) {
  const [, recording, unit] = hash.match(/^#unit\/([^/]+)\/([^/]+)$/) ?? [];
  try {
    const explorer = recording === undefined ? undefined : explorerOf(decodeURIComponent(recording));
    const index = explorer?.sorting.indexOf.get(decodeURIComponent(unit));
    return index === undefined ? null : [explorer, index];
  } catch {
    return null;  // Not an encoded address.
  }
}

function followHash() {
  const place = unitPlace(location.hash);
  if (place) openUnit(...place);
  else if (page.open) page.close();
}

function copyMethods() {
  const button = byId("copy-methods");
  button?.addEventListener("click", async () => {
    const text = byId("methods-text").innerText;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without the permission the text is selected, for the reader's own copy.
      getSelection().selectAllChildren(byId("methods-text"));
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2500);
  });
}

// The contents list marks the section in view.
function markContents() {
  const links = new Map([...document.querySelectorAll(".contents li a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const inView = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) inView[isIntersecting ? "add" : "delete"](target.id);
    let first = null;
    for (const [id, link] of links) {
      if (!first && inView.has(id)) { first = id; link.setAttribute("aria-current", "true"); } else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-10% 0px -60% 0px" });
  for (const id of links.keys()) { const target = byId(id); if (target) watch.observe(target); }
}

async function start() {
  copyMethods();
  markContents();
  const holders = [...document.querySelectorAll("script[data-content]")];
  const contents = await Promise.all(holders.map((holder) => inflate(holder.textContent)));
  contents.forEach((content, index) => sortings.push(new Sorting(holders[index].dataset.content, index, content)));
  for (const sorting of sortings) {
    const card = document.querySelector(`[data-card="${CSS.escape(sorting.id)}"]`);
    if (card) drawCard(card, sorting);
    const place = document.querySelector(`[data-units="${CSS.escape(sorting.id)}"]`);
    if (place && sorting.units) near(place, () => explorerOf(sorting.id));
    const panels = document.querySelector(`[data-panels="${CSS.escape(sorting.id)}"]`);
    if (panels) showPanels(panels, sorting);
  }
  const profiles = document.querySelectorAll("[data-profile]");
  if (profiles.length) near(profiles[0], () => drawComparison(profiles, sortings));
  for (const place of document.querySelectorAll("[data-agreement]")) {
    const { agreement: recording, pair } = place.dataset;
    near(place, () => drawAgreement(place, run.agreement[recording].pairs[Number(pair)]));
  }
  for (const place of document.querySelectorAll("[data-residuals]")) near(place, () => drawResiduals(place));
  addEventListener("hashchange", followHash);
  followHash();
  usableAt = performance.now();
  document.documentElement.dataset.ready = "true";
  const later = window.requestIdleCallback ?? ((action) => setTimeout(action, 200));
  for (const { id } of sortings) later(() => explorerOf(id));
}

function beforePrint() {
  for (const action of [...waiting]) action();
  for (const one of live) one.draw();
  for (const { table } of Object.values(explorers)) { table.printing = true; table.paint(true); }
}

function afterPrint() {
  for (const { table } of Object.values(explorers)) { table.printing = false; table.paint(true); }
  redrawAll();
}
addEventListener("beforeprint", beforePrint);
addEventListener("afterprint", afterPrint);
if (typeof DecompressionStream === "undefined") byId("too-old").hidden = false;
else start();
