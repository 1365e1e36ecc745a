// The page: hears the stream, keeps the state, draws it, and does what its buttons ask.

import { h, render } from "./vendor/preact.mjs";
import { Board } from "./view.js";
import { isNew, isUp } from "./facts.js";

const SILENT_MS = 45_000; // the worker says something every 15 s
const AGAIN_MS = 2_000;
const DRAW_MS = 50; // a burst of events is one drawing
const TICK_MS = 10_000;
const TOKEN = "molehill-token";

const wallClock = () => Date.now() / 1000;
const board = document.getElementById("board");
const state = {
  moles: null, // until the worker has told
  moments: new Map(), // name → summary
  unfolded: false, // whether more than fits a screen is drawn
  snoozed: {}, // id of a mole → when it wakes
  unspent: {}, // moment → share of a whole period's budget that it left
  clock: 0, // event time up to which all is judged, in seconds
  now: wallClock(),
  link: "connecting", // open, lost
  heard: wallClock(),
  busy: new Set(), // ids of moles that wait for an answer
  faults: new Map(), // id of a mole → why the last action was refused
};

// Drawing. Where the list is sorted anew, the focus stays on what it was on.

let drawing = null;

function draw() {
  drawing ??= setTimeout(drawNow, DRAW_MS);
}

function drawNow() {
  clearTimeout(drawing);
  drawing = null;
  const had = document.activeElement;
  const card = had?.closest?.("[data-mole]")?.dataset.mole;
  state.now = wallClock();
  render(h(Board, { state, act }), board);
  if (!state.unfolded && state.moments.size) {
    requestAnimationFrame(() => setTimeout(() => { state.unfolded = true; drawNow(); })); // what is on the screen first
  }
  if (document.activeElement !== had && card !== undefined) {
    const left = had.isConnected ? had : [...board.querySelectorAll("[data-mole]")].find((x) => x.dataset.mole === card);
    (left ?? document.getElementById("moles")).focus({ preventScroll: true });
  }
  const up = (state.moles ?? []).filter(isUp);
  const over = up.some((m) => m.tier === "game-over");
  document.title = `${state.link === "lost" ? "(lost) " : ""}${up.length ? `${up.length} up${over ? ", game over" : ""} · ` : ""}molehill`;
  const icon = document.querySelector("link[rel=icon]");
  const wanted = `board/${over ? "alarm" : "calm"}.svg`;
  if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
}

function say(text) {
  document.getElementById("news").textContent = text;
}

// Hearing

let source = null;
let spoke = Date.now(); // when the worker last said something, or was called
let fresh = true; // nothing of this connection has been heard: what comes first replaces all

function connect() {
  source?.close();
  spoke = Date.now();
  source = new EventSource("api/stream");
  source.addEventListener("moles", (event) => heard(() => takeMoles(JSON.parse(event.data))));
  source.addEventListener("desk", (event) => heard(() => {
    ({ snoozed_until: state.snoozed, unspent_budget: state.unspent } = JSON.parse(event.data));
  }));
  source.addEventListener("moment", (event) => heard(() => takeMoment(JSON.parse(event.data))));
  source.addEventListener("clock", (event) => {
    heard(() => { state.clock = Number(event.data); });
    drawNow(); // the last of what comes together
  });
  source.addEventListener("open", () => { fresh = true; });
  source.addEventListener("error", () => {
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS); // else the browser tries again itself
  });
}

function heard(take) {
  spoke = Date.now();
  state.heard = wallClock();
  state.link = "open";
  take();
  draw();
}

function lost() {
  state.link = "lost";
  draw();
}

function takeMoles(moles) {
  const known = state.moles && new Map(state.moles.map((m) => [m.id, m.state]));
  if (fresh) state.moments = new Map();
  fresh = false;
  state.moles = moles;
  const ids = new Set(moles.map((m) => m.id));
  for (const id of state.faults.keys()) if (!ids.has(id)) state.faults.delete(id);
  const news = known ? moles.filter((m) => isNew(m) && !known.has(m.id)) : [];
  if (news.length) say(news.map((m) => `New mole, ${m.tier}: ${m.explain}`).join(" "));
}

function takeMoment(moment) {
  state.moments.set(moment.moment, moment);
}

setInterval(() => {
  if (Date.now() - spoke > SILENT_MS) {
    lost();
    connect();
  }
  draw();
}, TICK_MS);

// Acting

async function act(id, action, body) {
  if (state.busy.has(id)) return;
  state.busy.add(id);
  state.faults.delete(id);
  draw();
  try {
    const answer = await post(id, action, body);
    if (answer?.ok) {
      const mole = await answer.json();
      state.moles = state.moles.map((m) => (m.id === id ? mole : m));
      say(`${mole.moment}: ${mole.state}`);
    } else if (answer) {
      const told = await answer.json().catch(() => ({}));
      state.faults.set(id, `${action} was refused: ${told.error ?? `status ${answer.status}`}`);
    }
  } catch {
    state.faults.set(id, `${action} was not heard: no connection to the worker`);
  } finally {
    state.busy.delete(id);
    drawNow();
  }
}

// The answer; null where the person has no token to give.
async function post(id, action, body) {
  for (let wrong = false; ; wrong = true) {
    const token = sessionStorage.getItem(TOKEN);
    const answer = await fetch(`api/moles/${encodeURIComponent(id)}/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
    });
    if (answer.status !== 401) return answer;
    sessionStorage.removeItem(TOKEN);
    const given = await ask(wrong || token !== null);
    if (given === null) return null;
    sessionStorage.setItem(TOKEN, given);
  }
}

function ask(wrong) {
  const dialog = document.getElementById("ask");
  const input = document.getElementById("ask-token");
  if (wrong) document.getElementById("ask-why").textContent = "That was not the worker's token (MOLEHILL_TOKEN).";
  input.value = "";
  return new Promise((resolve) => {
    let given = null;
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      given = input.value;
      dialog.close();
    };
    document.getElementById("ask-leave").onclick = () => dialog.close();
    dialog.onclose = () => resolve(given);
    dialog.showModal();
    input.focus();
  });
}

drawNow();
connect();
