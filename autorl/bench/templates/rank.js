"use strict";
// One sheet at a time: `groups` holds the names of the decks, the best first, those of one group tied.
const find = (id) => document.getElementById(id);
let sheet = null, groups = [], ranker = "";

async function ask(path, told) {
  try {
    const answer = await fetch(path, told && {method: "POST", body: JSON.stringify(told), keepalive: true});
    const given = await answer.json();
    if (!answer.ok) throw new Error(given.error);
    find("trouble").hidden = true;
    return given;
  } catch (error) {
    find("trouble").textContent = error instanceof TypeError || error instanceof SyntaxError
      ? "Not kept: the server does not answer. Is `autorl bench rank` still running?" : `Not kept: ${error.message}`;
    find("trouble").hidden = false;
    throw error;
  }
}

// Orders are sent one after the other, so that the newest one is the last to be kept.
let sending = Promise.resolve();
function keep(done) {
  const told = {ranker, sheet: sheet.sheet, groups: structuredClone(groups), done};
  find("kept").textContent = "";
  sending = sending.catch(() => {}).then(() => ask("order", told));
  return sending.then(() => { find("kept").textContent = "Kept."; });
}

async function load(at) {
  const where = at === undefined ? "" : `&at=${at}`;
  sheet = await ask(`sheet?ranker=${encodeURIComponent(ranker)}${where}`);
  groups = sheet.groups;
  find("who").hidden = true;
  find("work").hidden = false;
  const ranked = sheet.done === sheet.of ? "all ranked, thank you" : `${sheet.done} ranked`;
  find("where").textContent = `Task ${sheet.at + 1} of ${sheet.of} (${ranked})${sheet.ranked ? ": you ranked this one" : ""}`;
  find("task").textContent = sheet.task;
  find("kept").textContent = "";
  draw();
  window.scrollTo(0, 0);
}

function made(kind, name, text) {
  const element = document.createElement(kind);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

function draw(focus) {
  const all = groups.flatMap((group, at) => {
    const place = made("section", "place");
    place.dataset.at = at;
    place.append(made("h2", "", `${at + 1}${at === 0 ? ", best" : ""}${group.length > 1 ? ", tied" : ""}`));
    place.style.setProperty("--many", group.length);
    const tied = made("div", "tied");
    tied.append(...group.map((name) => cards(name)));
    place.append(tied);
    return [place, gap(at + 1)];
  });
  find("places").replaceChildren(gap(0), ...all);
  if (!focus) return;
  const moved = document.querySelector(`[data-deck="${focus}"]`);
  moved.focus({preventScroll: true});
  moved.querySelector(".bar").scrollIntoView({block: "nearest", inline: "nearest"});
}

function gap(at) {
  const element = made("div", "gap");
  element.dataset.before = at;
  return element;
}

// The cards are made once a sheet, so that pictures do not load again at every move.
const drawn = new Map();
function cards(name) {
  if (!drawn.has(name)) drawn.set(name, card(sheet.decks.find((deck) => deck.name === name)));
  const element = drawn.get(name);
  const at = groups.findIndex((group) => group.includes(name));
  const tied = groups[at].length > 1 ? ", tied" : "";
  element.setAttribute("aria-label", `Deck ${element.dataset.letter}, place ${at + 1} of ${groups.length}${tied}`);
  return element;
}

function card(deck) {
  const element = made("article", "deck"), bar = made("div", "bar"), slides = made("div", "slides");
  element.tabIndex = 0;
  element.dataset.deck = deck.name;
  element.dataset.letter = deck.letter;
  bar.append(made("b", "", `${deck.letter}  (${deck.slides.length} slides)`));
  for (const [step, sign, says] of [[-1, "◀", "better"], [1, "▶", "worse"]]) {
    const button = made("button", says, sign);
    button.type = "button";
    button.setAttribute("aria-label", `Deck ${deck.letter} is ${says}`);
    button.addEventListener("click", () => { step_(deck.name, step); });
    bar.append(button);
  }
  deck.slides.forEach((words, number) => {
    if (number >= deck.drawn) { slides.append(made("p", "", words)); return; }
    const picture = made("img");
    picture.src = `picture/${deck.name}/${number}`;
    picture.alt = `Slide ${number + 1} of ${deck.slides.length}: ${words.split("\n")[0]}`;
    picture.loading = "lazy";
    picture.addEventListener("click", () => enlarge(picture));
    slides.append(picture);
  });
  if (deck.why) slides.append(made("p", "", `Shown in words alone: ${deck.why}`));
  element.append(bar, slides);
  element.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
    if (step && event.target === element) { event.preventDefault(); step_(deck.name, step); }
  });
  bar.addEventListener("pointerdown", (event) => { if (!event.target.closest("button")) hold(event, element, bar); });
  return element;
}

function enlarge(picture) {
  const dialog = find("large");
  dialog.querySelector("img").src = `${picture.getAttribute("src")}?large`;
  dialog.querySelector("p").textContent = picture.alt;
  dialog.showModal();
}

// Put a deck alone before the place `before`, or beside those `onto` a place; places count as they stand now.
function move(name, {before, onto}) {
  const next = groups.map((group) => group.filter((each) => each !== name));
  if (onto !== undefined) next[onto].push(name);
  else next.splice(before, 0, [name]);
  groups = next.filter((group) => group.length);
  draw(name);
  keep(false).catch(() => {});
}

// One step better or worse: out of a tie to a place of its own, and from there onto the next place.
function step_(name, step) {
  const at = groups.findIndex((group) => group.includes(name));
  if (groups[at].length > 1) move(name, {before: step < 0 ? at : at + 1});
  else if (groups[at + step]) move(name, {onto: at + step});
}

function hold(event, element, bar) {
  const from = {x: event.clientX, y: event.clientY};
  let over = null;
  bar.setPointerCapture(event.pointerId);
  const drag = (moved) => {
    const [x, y] = [moved.clientX - from.x, moved.clientY - from.y];
    if (!element.classList.contains("held") && Math.hypot(x, y) < 5) return;
    element.classList.add("held");
    find("places").classList.add("dragging");
    element.style.transform = `translate(${x}px, ${y}px)`;
    over?.classList.remove("over");
    over = document.elementFromPoint(moved.clientX, moved.clientY)?.closest(".place, .gap");
    over?.classList.add("over");
  };
  const drop = (ended) => {
    for (const [name, what] of [["pointermove", drag], ["pointerup", drop], ["pointercancel", drop]])
      bar.removeEventListener(name, what);
    const held = element.classList.contains("held");
    element.classList.remove("held");
    element.style.transform = "";
    find("places").classList.remove("dragging");
    over?.classList.remove("over");
    if (!held || !over || ended.type !== "pointerup") return;
    const {at, before} = over.dataset;
    move(element.dataset.deck, at === undefined ? {before: Number(before)} : {onto: Number(at)});
  };
  for (const [name, what] of [["pointermove", drag], ["pointerup", drop], ["pointercancel", drop]])
    bar.addEventListener(name, what);
}

async function go(at) {
  drawn.clear();
  await load(at);
}

find("who").addEventListener("submit", (event) => {
  event.preventDefault();
  ranker = find("name").value.trim();
  try { localStorage.setItem("ranker", ranker); } catch { /* a browser may forbid it */ }
  load().catch(() => {});
});
find("done").addEventListener("click", () => keep(true).then(() => go()).catch(() => {}));
find("skip").addEventListener("click", () => go((sheet.at + 1) % sheet.of).catch(() => {}));
find("back").addEventListener("click", () => go((sheet.at + sheet.of - 1) % sheet.of).catch(() => {}));
try { find("name").value = localStorage.getItem("ranker") ?? ""; } catch { /* a browser may forbid it */ }
find("name").focus();
