// The board: keeps the rows, the counts and the times left up to date. Without this script the page still shows all.

const board = document.getElementById("board");
const live = document.getElementById("live");
const stale = document.getElementById("stale");
const announcer = document.getElementById("announcer");
const nowElement = document.getElementById("now");
const isWall = document.body.classList.contains("wall");
const lists = new Map([...board.querySelectorAll(".group")].map((group) => [group.id, group.querySelector(".tickets")]));

const FAR = 1e10; // larger than any time left, in seconds
const SILENCE_MS = 30_000; // the server sends an event every 10 s
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 60_000;

// Business time: the server's, running at the server's rate.
const base = { now: Number(board.dataset.now), rate: Number(board.dataset.rate), at: performance.now() };
const businessNow = () => base.now + ((performance.now() - base.at) / 1000) * base.rate;
const wallClock = new Intl.DateTimeFormat("en-GB", {
  timeZone: board.dataset.zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const shownTime = (seconds) => wallClock.format(new Date(seconds * 1000)).replace(",", "");

// ---- Times left -----------------------------------------------------------------------------------------------------

const readings = new WeakMap();

function reading(clock) {
  let found = readings.get(clock);
  if (found === undefined) {
    const stretches = (clock.dataset.left ?? "").split(" ").filter(Boolean).map((text) => text.split("+").map(Number));
    found = {
      state: clock.dataset.state,
      target: Number(clock.dataset.target),
      counted: Number(clock.dataset.counted),
      due: clock.dataset.due === undefined ? null : Number(clock.dataset.due),
      further: Number(clock.dataset.further ?? 0),
      stretches,
      text: clock.querySelector(".left"),
      used: clock.querySelector(".used"),
    };
    readings.set(clock, found);
  }
  return found;
}

function secondsLeft(clock, now) {
  if (clock.state === "paused") return Math.max(0, clock.target - clock.counted);
  return clock.stretches.reduce(
    (left, [begin, length]) => left + Math.max(0, begin + length - Math.max(begin, now)), clock.further);
}

const isOverdue = (clock, now) => clock.state === "overdue" || (clock.due !== null && clock.due < now);

function leftWords(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), rest = minutes % 60;
  if (hours === 0) return rest ? `${rest} min` : "under 1 min";
  return rest && hours < 100 ? `${hours} h ${rest} min` : `${hours} h`;
}

function durationWords(seconds) {
  const whole = Math.floor(seconds);
  const units = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"]];
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return `${whole} s`;
  return units.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

function showTimes(row, now) {
  for (const element of row.querySelectorAll(".clock")) {
    const clock = reading(element);
    if (clock.state === "paused") continue;
    const overdue = isOverdue(clock, now);
    if (overdue && clock.due === null) continue;
    const left = secondsLeft(clock, now);
    const text = overdue ? `overdue by ${durationWords(now - clock.due)}` : `${leftWords(left)} left`;
    if (clock.text.textContent !== text) clock.text.textContent = text;
    const used = overdue ? 100 : Math.max(0, Math.min(100, Math.round((100 * (clock.target - left)) / clock.target)));
    if (clock.used.getAttribute("width") !== String(used)) clock.used.setAttribute("width", used);
  }
}

const visible = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) isIntersecting ? visible.add(target) : visible.delete(target);
  showVisible();
}, { rootMargin: "200px" });

function showVisible() {
  const now = businessNow();
  for (const row of visible) showTimes(row, now);
  const text = shownTime(now);
  if (nowElement.textContent !== text) nowElement.textContent = text;
}

// ---- Order ----------------------------------------------------------------------------------------------------------

function sortKey(row, now) {
  let key = 2 * FAR;
  for (const element of row.querySelectorAll(".clock")) {
    const clock = reading(element);
    let own = secondsLeft(clock, now);
    if (isOverdue(clock, now)) own = clock.due === null ? -2 * FAR : clock.due - now - FAR;
    else if (clock.state === "paused") own += FAR;
    key = Math.min(key, own);
  }
  return key;
}

const comesBefore = (first, second) => first.key - second.key || (first.row.id < second.row.id ? -1 : 1);

function insert(list, row) {
  const now = businessNow(), own = { key: sortKey(row, now), row };
  let low = 0, high = list.children.length;
  while (low < high) {
    const middle = (low + high) >> 1, other = list.children[middle];
    comesBefore({ key: sortKey(other, now), row: other }, own) < 0 ? (low = middle + 1) : (high = middle);
  }
  list.insertBefore(row, list.children[low] ?? null);
}

// Clocks with different hours pass each other. A list that somebody is working in stays as it is.
function reorder() {
  const now = businessNow();
  for (const list of lists.values()) {
    if (list.contains(document.activeElement)) continue;
    const sorted = [...list.children].map((row) => ({ key: sortKey(row, now), row })).sort(comesBefore);
    sorted.forEach(({ row }, index) => {
      if (list.children[index] !== row) list.insertBefore(row, list.children[index]);
    });
  }
}

// ---- Changes --------------------------------------------------------------------------------------------------------

let changes = new Map();
let counts = null;
let isScheduled = false;

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  document.hidden ? setTimeout(apply, 500) : requestAnimationFrame(apply);
}

function apply() {
  isScheduled = false;
  const batch = changes;
  changes = new Map();
  const anchor = [...visible].find((row) => !batch.has(row.id) && row.isConnected && row.getBoundingClientRect().top >= 0);
  const before = anchor?.getBoundingClientRect().top;
  const alarms = [];
  for (const [id, change] of batch) replace(id, change, alarms);
  for (const [name, list] of lists) {
    list.hidden = list.children.length === 0;
    document.getElementById(name).querySelector(".empty").hidden = !list.hidden;
  }
  if (counts !== null) showCounts(counts);
  if (anchor && scrollY > 0) scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
  if (alarms.length) announce(alarms);
  showVisible();
}

function replace(id, change, alarms) {
  const old = document.getElementById(id);
  const hadFocus = old?.contains(document.activeElement) ?? false;
  if (old) {
    visible.delete(old);
    observer.unobserve(old);
    old.remove();
  }
  if (change === null) {
    if (hadFocus) document.getElementById("main").focus({ preventScroll: true });
    return;
  }
  const template = document.createElement("template");
  template.innerHTML = change.html;
  const row = template.content.querySelector("li.ticket");
  insert(lists.get(change.group), row);
  observer.observe(row);
  if (hadFocus) row.querySelector("a").focus({ preventScroll: true });
  if (old?.dataset.group !== change.group) {
    row.classList.add("is-new");
    if (change.group === "breached" || change.group === "silent") alarms.push([change.group, row]);
  }
}

function showCounts(values) {
  for (const element of document.querySelectorAll("[data-count]")) element.textContent = values[element.dataset.count];
  document.title = values.breached ? `${values.breached} breached, ${values.open} open · tocsin` : values.open === 1 ? "1 open ticket · tocsin" : `${values.open} open tickets · tocsin`;
}

function announce(alarms) {
  const texts = alarms.slice(0, 3).map(([group, row]) =>
    `${group === "silent" ? "Silent" : "Breached"}: ${row.querySelector("h3").textContent}, ${row.querySelector(".customer").textContent}.`);
  if (alarms.length > 3) texts.push(`And ${alarms.length - 3} more.`);
  announcer.textContent = texts.join(" ");
}

// ---- Connection -----------------------------------------------------------------------------------------------------

let source = null;
let position = new URL(board.dataset.live, location).searchParams.get("after");
let heardAt = performance.now();
let retryMs = FIRST_RETRY_MS;
let lostAt = null;

function liveAddress() {
  const address = new URL(board.dataset.live, location);
  address.searchParams.set("after", position);
  return address;
}

function connect() {
  source = new EventSource(liveAddress());
  heardAt = performance.now();
  source.addEventListener("ticket", ({ data }) => {
    const change = JSON.parse(data);
    changes.set(`t-${change.id}`, change);
    schedule();
  });
  source.addEventListener("gone", ({ data }) => {
    changes.set(`t-${JSON.parse(data).id}`, null);
    schedule();
  });
  source.addEventListener("counts", ({ data }) => {
    counts = JSON.parse(data);
    schedule();
  });
  source.addEventListener("heartbeat", ({ data, lastEventId }) => {
    position = lastEventId || position;
    const beat = JSON.parse(data);
    Object.assign(base, { now: beat.now, rate: beat.rate, at: performance.now() });
    heardAt = performance.now();
    retryMs = FIRST_RETRY_MS;
    lostAt = null;
    showState("on", "live");
    stale.hidden = beat.stale === null;
    if (stale.textContent !== (beat.stale ?? "")) stale.textContent = beat.stale ?? "";
    showVisible();
  });
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("error", () => {
    showLost();
    if (source.readyState === EventSource.CLOSED) retry();
  });
}

async function retry() {
  source.close();
  const pause = retryMs * (0.75 + Math.random() / 2);
  retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
  if (await isSignedOut()) {
    showState("lost", "signed out: load the page again");
    return;
  }
  setTimeout(connect, pause);
}

// An EventSource does not say why it failed.
async function isSignedOut() {
  const stop = new AbortController();
  try {
    const response = await fetch(liveAddress(), { headers: { Accept: "application/json" }, signal: stop.signal });
    return response.status === 401 || response.status === 403;
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

function showLost() {
  lostAt ??= businessNow();
  showState("lost", `stale since ${shownTime(lostAt)}`);
}

function showState(state, text) {
  live.dataset.state = state;
  if (live.textContent !== text) live.textContent = text;
}

setInterval(() => {
  showVisible();
  if (source.readyState !== EventSource.CLOSED && performance.now() - heardAt > SILENCE_MS) {
    showLost();
    retry();
    heardAt = performance.now();
  }
}, 1000);
setInterval(reorder, isWall ? 15_000 : 60_000);
// Somebody may have signed out in another tab.
document.addEventListener("visibilitychange", async () => {
  if (!document.hidden && (await isSignedOut())) location.reload();
});
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", ({ persisted }) => persisted && connect());
for (const row of board.querySelectorAll(".ticket")) observer.observe(row);
connect();
