// The board as a function of its state. Text becomes text nodes, always: nothing in the data is markup.

import { Component, h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import * as facts from "./facts.js";

const html = htm.bind(h);
const WORDS = { "game-over": "Game over", "important": "Important", "tolerable": "Tolerable" };
const DOES = { ack: "Acknowledge", whack: "Whack", snooze: "Snooze" };
const NAPS = [["30m", "30 min"], ["1h", "1 h"], ["4h", "4 h"], ["1d", "1 day"]];
const KINDS = { burn: "burns its budget", shift: "worse than its own past", silence: "gone silent" };
const SCREEN = 30; // moments; more are below it
const SHOWN = 5; // ended moles, before one asks for more
const BEHIND_S = 120;

export function Board({ state, act }) {
  const known = state.moles !== null;
  const moles = state.moles ?? [];
  const moments = [...state.moments.values()];
  return html`
    <${Top} state=${state} up=${facts.up(moles)} moments=${moments} />
    <main>
      <${Moles} up=${facts.up(moles)} known=${known} state=${state} act=${act} />
      <${Lately} moles=${facts.lately(moles)} state=${state} />
      <${Moments} tiers=${facts.tiers(moments, moles)} most=${state.unfolded ? Infinity : SCREEN} hurt=${new Set(facts.hurt(moles))} unspent=${state.unspent} known=${known} />
    </main>
    <footer>
      <p>Times are UTC and event time. Burn 1× spends just the error budget; “surely” is the lower 95 % bound.
        Segments show one day.</p>
      <p><a href="metrics">Metrics</a> · <a href="api/moles">Moles as JSON</a> · <a href="api/moments">Moments as JSON</a></p>
    </footer>`;
}

// The one thing to see from across the room.
function Top({ state, up, moments }) {
  const over = up.filter((m) => m.tier === "game-over");
  const mood = state.moles === null || !state.clock ? "unknown" : up.length ? up[0].tier : "calm";
  const shaken = over.some(facts.isNew);
  return html`
    <header class=${`top ${mood}${shaken ? " shaken" : ""}${state.link === "lost" ? " stale" : ""}`}>
      <p class="name">molehill</p>
      <h1>${headline(state, up, over)}</h1>
      <p class="sub">${state.moles !== null && state.clock ? watched(moments) : "Waiting for what the worker knows."}</p>
      <p class="clock"><${Clock} state=${state} /></p>
      ${state.link === "lost" && html`
        <p class="lost" role="alert">Connection lost at ${facts.hour(state.heard)} UTC. What is shown is as of then; trying again.</p>`}
    </header>`;
}

function headline(state, up, over) {
  if (state.moles === null) return state.link === "lost" ? "No connection" : "Connecting";
  if (!state.clock && !up.length) return "Nothing is known yet";
  if (!up.length) return "Nobody is hurt";
  const all = `${facts.plural(up.length, "mole")} ${up.length === 1 ? "is" : "are"} up`;
  return over.length ? `${all}, ${over.length === up.length ? "game over" : `${over.length} game over`}` : all;
}

function watched(moments) {
  const signals = moments.reduce((n, m) => n + m.signals.length, 0);
  return `${facts.plural(moments.length, "moment")} watched by ${facts.plural(signals, "signal")}.`;
}

function Clock({ state }) {
  if (!state.clock) return null;
  const behind = state.now - state.clock;
  return html`<span>Judged up to </span><${At} at=${state.clock} now=${state.now} />
    ${behind > BEHIND_S && html`<span>, ${facts.span(behind)} behind the wall clock</span>`}`;
}

function At({ at, now }) {
  return html`<time datetime=${new Date(at * 1000).toISOString()}>${facts.hour(at)}${facts.day(at, now)}</time>`;
}

function Moles({ up, known, state, act }) {
  return html`
    <section id="moles" aria-labelledby="moles-title" tabindex="-1">
      <h2 id="moles-title">Moles now</h2>
      ${up.length
        ? html`<ul class="moles">${up.map((m) => html`<${Mole} key=${m.id} mole=${m} state=${state} act=${act} />`)}</ul>`
        : html`<p class="empty">${!known ? "Waiting for the worker."
            : state.clock ? "No mole is up: every moment keeps to its objective, as far as the evidence goes."
            : "No event has been judged yet."}</p>`}
    </section>`;
}

function Mole({ mole, state, act }) {
  const title = state.moments.get(mole.moment)?.title ?? mole.moment;
  const label = `mole-${mole.id}`;
  const fault = state.faults.get(mole.id);
  return html`
    <li>
      <article class=${`mole ${mole.tier} ${mole.state}`} aria-labelledby=${label} data-mole=${mole.id} tabindex="-1">
        <header>
          <p class="badges">
            <span class="tier">${WORDS[mole.tier] ?? mole.tier}</span>
            <span class="state">${mole.state}</span>
            ${/^https?:\/\//.test(mole.runbook ?? "") && html`<a class="runbook" href=${mole.runbook} rel="noreferrer">Runbook</a>`}
          </p>
          <h3 id=${label}>${title}</h3>
          <p class="what"><code>${mole.moment}</code> · ${mole.signal} · ${KINDS[mole.kind] ?? mole.kind}
            ${mole.segment !== "all" && html` · only <code>${mole.segment}</code>`}</p>
        </header>
        <p class="explain">${mole.explain}</p>
        <div class="parts">
          <dl class="figures">
            <div><dt>since</dt><dd>${facts.span(state.clock - facts.seconds(mole.first_harm))}</dd></div>
            ${mole.kind !== "silence" && html`
              <div><dt>bad</dt><dd>${facts.number(mole.bad)} <small>of ${facts.number(mole.total)}</small></dd></div>
              <div><dt>burn</dt><dd>${facts.times(mole.burn_rate)} <small>surely ${facts.times(mole.burn_rate_low)}</small></dd></div>`}
          </dl>
          <${Hurt} mole=${mole} />
        </div>
        <${Life} mole=${mole} wakes=${state.snoozed[mole.id]} now=${state.clock} />
        <${Buttons} mole=${mole} title=${title} busy=${state.busy.has(mole.id)} act=${act} />
        ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      </article>
    </li>`;
}

function Hurt({ mole }) {
  if (!mole.contributors.length && !mole.linked.length) return null;
  return html`
    <div class="hurt">
      <h4>Who is hurt</h4>
      <ul>
        ${mole.contributors.map((c) => html`
          <li key=${c.segment}>
            <code>${c.segment}</code>
            ${bar(c.total ? c.bad / c.total : 0)}
            <span>${facts.number(c.bad)} of ${facts.number(c.total)}</span>
          </li>`)}
        ${mole.linked.map((m) => html`<li key=${`also ${m}`}>also <code>${m}</code></li>`)}
      </ul>
    </div>`;
}

function bar(share) {
  const width = Math.min(1, Math.max(0, share)) * 60;
  return html`<svg class="bar" viewBox="0 0 60 8" aria-hidden="true"><rect class="all" width="60" height="8" rx="2" /><rect
    class="part" width=${width.toFixed(1)} height="8" rx="2" /></svg>`;
}

function Life({ mole, wakes, now }) {
  const steps = [["harm began", mole.first_harm], ["popped", mole.popped], ["acknowledged", mole.acked], ["whacked", mole.whacked]];
  const told = mole.state === "snoozed" || mole.state === "recovering" ? [[mole.state, ""]] : [];
  const current = { popped: "popped", "re-popped": "popped" }[mole.state] ?? mole.state;
  steps.splice(3, 0, ...told);
  return html`
    <ol class="life" aria-label="Life of this mole">
      ${steps.map(([name, at]) => html`
        <li key=${name} class=${at === null ? "open" : ""} aria-current=${name === current ? "step" : null}>
          <span>${name === "popped" && mole.repop_of ? "popped again" : name}</span>
          ${" "}${at ? html`<${At} at=${facts.seconds(at)} now=${now} />` : at === null ? html`<span class="unseen">not yet</span>` : null}
          ${name === "snoozed" && wakes && html`until <${At} at=${facts.seconds(wakes)} now=${now} />`}
        </li>`)}
    </ol>`;
}

function Buttons({ mole, title, busy, act }) {
  const can = facts.ACTIONS[mole.state] ?? [];
  const nap = (event) => event.currentTarget.parentNode.querySelector("select").value;
  const button = (action, onClick) => html`
    <button type="button" class=${action === can[0] ? "main" : ""} aria-disabled=${busy ? "true" : null} onClick=${onClick}
      >${DOES[action]}<span class="unseen"> ${title}</span></button>`;
  return html`
    <div class="actions" role="group" aria-label=${`What to do with ${title}`}>
      ${can.includes("ack") && button("ack", () => act(mole.id, "ack", {}))}
      ${can.includes("snooze") && html`
        <span class="snooze">
          ${button("snooze", (event) => act(mole.id, "snooze", { for: nap(event) }))}
          <select aria-label=${`Snooze ${title} for`}>
            ${NAPS.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === "1h"}>${words}</option>`)}
          </select>
        </span>`}
      ${can.includes("whack") && button("whack", () => act(mole.id, "whack", {}))}
    </div>`;
}

function Lately({ moles, state }) {
  if (!moles.length) return null;
  const row = (m) => html`
    <li key=${m.id}>
      <span class=${`dot ${m.tier}`} aria-hidden="true"></span>
      <details>
        <summary><strong>${state.moments.get(m.moment)?.title ?? m.moment}</strong>
          ${" "}<span class="unseen">${WORDS[m.tier] ?? m.tier}, </span>whacked <${At} at=${facts.seconds(m.whacked)} now=${state.clock} />,
          ${" "}after ${facts.span(facts.seconds(m.whacked) - facts.seconds(m.popped))}</summary>
        <p>${m.explain}</p>
      </details>
    </li>`;
  return html`
    <section aria-labelledby="lately-title" class="lately">
      <h2 id="lately-title">Lately</h2>
      <ul>${moles.slice(0, SHOWN).map(row)}</ul>
      ${moles.length > SHOWN && html`
        <details><summary>${facts.plural(moles.length - SHOWN, "more mole")} of the last seven days</summary>
          <ul>${moles.slice(SHOWN).map(row)}</ul></details>`}
    </section>`;
}

// A summary that has not changed is the same object, and so is what was drawn of it: nothing to compare.
const drawn = new WeakMap();

function moment(summary, hurt, unspent) {
  const before = drawn.get(summary);
  if (before?.props.hurt === hurt && before.props.unspent === unspent) return before;
  const now = html`<${Moment} key=${summary.moment} moment=${summary} hurt=${hurt} unspent=${unspent} />`;
  drawn.set(summary, now);
  return now;
}

function Moments({ tiers, most, hurt, unspent, known }) {
  let left = most;
  const some = (moments) => {
    const now = moments.slice(0, left);
    left -= now.length;
    return now;
  };
  return html`
    <section aria-labelledby="moments-title">
      <h2 id="moments-title">Moments</h2>
      ${known && !tiers.length && html`<p class="empty">No moment has been summed up yet.</p>`}
      ${tiers.map(([tier, moments]) => html`
        <section key=${tier} aria-labelledby=${`tier-${tier}`} class=${`group ${tier}`}>
          <h3 id=${`tier-${tier}`}>${WORDS[tier]} <small>${moments.length}</small></h3>
          <ul class="moments">${some(moments).map((m) => moment(m, hurt.has(m.moment), unspent[m.moment]))}</ul>
        </section>`)}
    </section>`;
}

// One component for each moment: what is in it are plain functions, which cost less to mount.
function Moment({ moment, hurt, unspent }) {
  const about = [moment.declared ? moment.phase : "nobody declared it", moment.owner].filter(Boolean);
  return html`
    <li>
      <article class=${`moment${hurt ? " hurt" : ""}`} aria-labelledby=${`moment-${moment.moment}`}>
        <h4 id=${`moment-${moment.moment}`}>${moment.title} ${hurt && html`<span class="up">mole</span>`}</h4>
        <p class="what"><code>${moment.moment}</code>${about.map((x) => ` · ${x}`)}</p>
        ${unspent >= facts.MUCH && html`
          <p class="unspent">${facts.percent(unspent)} of a whole period's budget left: more care than it needs</p>`}
        ${moment.signals.length > 0 && html`
          <table>
            <thead><tr><th scope="col">Signal</th><th scope="col">24 h</th><th scope="col">Burn <small>1 h</small></th><th scope="col">Budget</th></tr></thead>
            <tbody>${moment.signals.map(row)}</tbody>
          </table>`}
        ${moment.segments.length > 0 && html`<${Segments} segments=${moment.segments} />`}
      </article>
    </li>`;
}

// What is folded is not drawn: it would be half of the page.
class Segments extends Component {
  render({ segments }, { open }) {
    return html`
      <details onToggle=${(event) => this.setState({ open: event.currentTarget.open })}><summary>Worst segments</summary>
        ${open && html`<ul class="segments">${segments.map((s) => html`
          <li key=${`${s.segment} ${s.signal}`}><code>${s.segment}</code> ${s.signal}
            ${" "}<span>${facts.number(s.bad)} of ${facts.number(s.bad + s.good)} bad, ${facts.times(s.burn_rate["1d"])}</span></li>`)}
        </ul>`}</details>`;
  }
}

function row(signal) {
  const left = signal.error_budget_remaining;
  const hot = facts.burns(signal);
  return html`
    <tr key=${signal.signal}>
      <th scope="row">${signal.signal} <small>${facts.objective(signal.objective)}</small></th>
      <td>${spark(signal)}</td>
      <td class=${hot ? "hot" : ""}>${facts.times(signal.burn_rate["1h"])}${hot && html`<span class="unseen"> burns</span>`}</td>
      <td class=${left < 0 ? "hot" : ""}>${bar(left)} ${left < 0 ? "gone" : facts.percent(left)}</td>
    </tr>`;
}

function spark(signal) {
  const found = facts.spark(signal.hours, signal.objective);
  if (found === null) return html`<span class="none">no events</span>`;
  const { width, height } = facts.SPARK;
  return html`
    <svg class="spark" viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${found.words}>
      <path class="within" d=${found.within} /><path class="beyond" d=${found.beyond} />
      <path class="allowed" d=${`M0 ${found.allowed.toFixed(1)}H${width}`} />
    </svg>`;
}
