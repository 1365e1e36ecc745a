// What the board derives from what the API says: order, words, and the paths of the sparklines. No DOM, no clock.

export const TIERS = ["game-over", "important", "tolerable"];

// What a person may do with a mole in each state; streams/moles.py has the whole table, and a test compares.
export const ACTIONS = {
  "popped": ["ack", "snooze", "whack"],
  "re-popped": ["ack", "snooze", "whack"],
  "acknowledged": ["snooze", "whack"],
  "snoozed": ["ack", "snooze", "whack"],
  "recovering": ["ack", "snooze", "whack"],
  "whacked": [],
};

export const isUp = (mole) => mole.state !== "whacked";
// Nobody has said that they look after it.
export const isNew = (mole) => mole.state === "popped" || mole.state === "re-popped";

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0); // many times as fast as localeCompare
const byTier = (a, b) => TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier);

// Worst tier first, then what nobody looks after yet, then the newest.
export function up(moles) {
  return moles.filter(isUp).sort((a, b) => byTier(a, b) || isNew(b) - isNew(a) || compare(b.popped, a.popped));
}

export function lately(moles) {
  return moles.filter((m) => !isUp(m)).sort((a, b) => compare(b.whacked, a.whacked));
}

// A signal that surely burns more than its objective allows, in the last hour.
export const burns = (signal) => signal.burn_rate_low["1h"] >= 1;

// The moments that a mole hurts, by name.
export const hurt = (moles) => up(moles).flatMap((m) => [m.moment, ...m.linked]);

// [tier, its moments], those with a mole first, then those that burn, then by title.
export function tiers(moments, moles) {
  const hit = new Set(hurt(moles));
  const rank = new Map(moments.map((m) => [m, hit.has(m.moment) ? 0 : m.signals.some(burns) ? 1 : 2]));
  return TIERS.map((tier) => [
    tier,
    moments
      .filter((m) => m.tier === tier)
      .sort((a, b) => rank.get(a) - rank.get(b) || compare(a.title, b.title) || compare(a.moment, b.moment)),
  ]).filter(([, found]) => found.length);
}

// 1,234,567; Intl says the same, and takes 50 ms to begin with.
export const number = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
export const percent = (share) => `${(share * 100).toFixed(Math.abs(share) < 0.095 && share ? 1 : 0)} %`;
// As it was declared: 99.5 %, 99 %.
export const objective = (share) => `${+(share * 100).toFixed(3)} %`;
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
export const times = (rate) => `${rate >= 100 ? Math.round(rate) : rate.toFixed(1)}×`;

// Seconds in two units at most.
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([unit]) => s >= unit);
  if (at < 0) return "0 s";
  const [unit, name] = parts[at];
  const [less, lesser] = parts[at + 1] ?? [1, "s"];
  const rest = Math.floor((s % unit) / less);
  return `${Math.floor(s / unit)} ${name}${rest && unit > 60 ? ` ${rest} ${lesser}` : ""}`;
}

// Overinvestment: half of what a moment may get wrong, and more, was never used.
export const MUCH = 0.5;

export const seconds = (text) => Date.parse(text) / 1000;

// Everything on the board is in UTC, as the sentences of the moles are.
export function hour(at) {
  return new Date(at * 1000).toISOString().slice(11, 16);
}

export function day(at, now) {
  const of = (x) => new Date(x * 1000).toUTCString().slice(5, 11);
  return of(at) === of(now) ? "" : ` on ${of(at)}`;
}

export const SPARK = { step: 4, width: 96, height: 24 };
const HIGHEST = 10; // a burn rate beyond it is drawn as high as it

// Burn rate of each hour as bars, in two paths: within what the objective allows, and beyond. null without events.
export function spark(hours, objective) {
  const rates = hours.map(([good, bad]) => (good + bad ? bad / (good + bad) / (1 - objective) : null));
  if (rates.every((r) => r === null)) return null;
  const worst = Math.max(...rates);
  const top = Math.min(HIGHEST, Math.max(2, worst));
  const y = (rate) => SPARK.height * (1 - Math.min(rate, top) / top);
  const bar = (rate, i) => `M${i * SPARK.step + 1.5} ${SPARK.height}V${Math.min(y(rate), SPARK.height - 1).toFixed(1)}`;
  const path = (wanted) => rates.map((r, i) => (r !== null && wanted(r) ? bar(r, i) : "")).join("");
  const ago = rates.length - 1 - rates.lastIndexOf(worst);
  return {
    within: path((r) => r < 1),
    beyond: path((r) => r >= 1),
    allowed: y(1),
    words: `Burn rate by hour: at most ${times(worst)}, ${ago ? `${ago} h ago` : "now"}`,
  };
}
