// The status page. It asks the control API (the shapes are in control/types.go), draws the answers and follows the events.
// Names and texts come from primaries that others run, so they reach the document as text nodes and attributes only.
// Every view is drawn anew and morph() carries over what differs: focus, selection and open details stay.

const pageSize = 50; // zones and appointments in a page
const minReload = 1000; // ms between two reloads, however many events come
const calmReload = 5000; // ms after an event that likely changes nothing in sight
const pollSpan = 30_000; // ms between reloads without events
const requestSpan = 15_000; // ms until an unanswered request counts as no connection
const maxPause = 10_000; // ms between two attempts to follow the events
const watchSpan = 60_000; // ms in which events after a command are announced as its outcome
const maxLine = 1 << 20; // characters of one line of the event stream

// document -----------------------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false && child !== ''));
  return node;
}

/** el makes an element; children are nodes and strings, and what is null or false is left out. */
const el = (tag, attributes = {}, ...children) => make(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  make(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

const icon = (name, tone = '') =>
  svg('svg', { class: `icon ${tone}`, 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));

const badge = (name, tone, text) => el('span', { class: `badge ${tone}` }, icon(name), text);

const keyOf = (node) => node.dataset?.key;

/** morph makes the children of `from` like those of `to`. What has a data-key is found again wherever it went. */
function morph(from, to) {
  const keyed = new Map([...from.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const key = keyOf(next);
    const like = key ? keyed.get(key) : at && !keyOf(at) && at.nodeName === next.nodeName ? at : null;
    keyed.delete(key);
    if (!like) {
      from.insertBefore(next, at);
      continue;
    }
    if (like === at) at = at.nextSibling;
    else from.insertBefore(like, at);
    if (like.nodeType !== Node.ELEMENT_NODE) {
      if (like.data !== next.data) like.data = next.data;
      continue;
    }
    morphAttributes(like, next);
    morph(like, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function morphAttributes(from, to) {
  for (const n of new Set([...from.getAttributeNames(), ...to.getAttributeNames()])) {
    if (n === 'open') continue; // whether a <details> is open is up to the reader
    if (!to.hasAttribute(n)) from.removeAttribute(n);
    else if (from.getAttribute(n) !== to.getAttribute(n)) from.setAttribute(n, to.getAttribute(n));
  }
}

/** draw shows children in the element with the id, and keeps the focus: moving a row takes it away. */
function draw(id, ...children) {
  const focused = document.activeElement;
  morph($(id), el('div', {}, ...children));
  if (focused === document.activeElement || focused === document.body) return;
  (focused.isConnected ? focused : $('main')).focus({ preventScroll: true });
}

function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// numbers, times and words -------------------------------------------------------------------------------------------

const number = (n) => n.toLocaleString('en'); // the words of the page are English, so its figures are too

const counted = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`;

function bytes(n) {
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (n < 1000 || unit === 'GB') return `${n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1000;
  }
}

function seconds(s) {
  if (s < 1) return `${Number((s * 1000).toPrecision(2))} ms`;
  return s < 10 ? `${Number(s.toPrecision(2))} s` : span(s * 1000);
}

/** span says a length of time with its two largest units, or only the largest when coarse and under an hour. */
function span(ms, coarse = false) {
  let rest = Math.max(0, Math.round(ms / 1000));
  const parts = [];
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const n = Math.floor(rest / size);
    rest %= size;
    if (n > 0 || (unit === 's' && parts.length === 0)) parts.push(`${n} ${unit}`);
    else if (parts.length > 0) break; // "1 d 5 s" would claim more than it says
    if (parts.length === 2 || (coarse && (unit === 'min' || unit === 's') && parts.length > 0)) break;
  }
  return parts.join(' ');
}

let skew = 0; // ms that the clock of the server is ahead of the browser's

const now = () => Date.now() + skew;

/** localTime is unambiguous in every country, and short for today. */
function localTime(ms) {
  const [day, clock] = new Date(ms).toLocaleString('sv').split(' '); // Sweden writes 2026-11-20 14:03:04
  return day === new Date(now()).toLocaleString('sv').split(' ')[0] ? clock : `${day} ${clock}`;
}

const timeWords = {
  at: (ms) => localTime(ms),
  ago: (ms) => (now() - ms < 2000 ? 'just now' : `${span(now() - ms, true)} ago`),
  lasting: (ms) => span(now() - ms, true),
  in: (ms) => (ms <= now() ? 'due now' : `in ${span(ms - now(), true)}`),
  countdown: (ms) => (ms <= now() ? 'due now' : `in ${span(ms - now())}`),
};

/** when shows a time in one of timeWords; tick keeps it true. */
function when(mode, at) {
  if (!at) return el('span', { class: 'quiet' }, '–');
  const ms = Date.parse(at);
  return el('time', { datetime: at, title: new Date(ms).toISOString(), 'data-mode': mode }, timeWords[mode](ms));
}

function tick() {
  if (document.hidden) return;
  for (const t of document.querySelectorAll('time[data-mode]')) {
    const words = timeWords[t.dataset.mode](Date.parse(t.dateTime));
    if (t.textContent !== words) t.textContent = words;
  }
}

const acronyms = /\b(tsig|soa|tls|ixfr|axfr|ns|servfail|notify|cname|dname|ttl|zonemd)\b/g;

const reasonWords = (reason) => reason.replaceAll('_', ' ').replace(acronyms, (word) => word.toUpperCase());

/** ahead returns by how much serial b is ahead of a (RFC 1982); null where that is undefined. */
function ahead(a, b) {
  const distance = (b - a + 2 ** 32) % 2 ** 32;
  if (distance === 2 ** 31) return null;
  return distance < 2 ** 31 ? distance : distance - 2 ** 32;
}

function aheadWords(a, b) {
  const n = ahead(a, b);
  if (n === null) return 'exactly 2^31 away: neither newer nor older';
  if (n === 0) return 'same as served';
  return n > 0 ? `${number(n)} ahead of served` : `${number(-n)} behind served`;
}

const serial = (n) => (n == null ? el('span', { class: 'quiet' }, '–') : el('span', { class: 'serial' }, String(n)));

// the server ---------------------------------------------------------------------------------------------------------

/** Problem is an answer that is not the one asked for. Status 0: there was no answer. */
class Problem extends Error {
  constructor(status, title, detail = '') {
    super(detail ? `${title}: ${detail}` : title);
    Object.assign(this, { status, title, detail });
  }
}

const tokenKey = 'secondaryplus-token';
let asking = null; // the dialog that is open, as a promise

/** askToken resolves to whether a token was given. All requests that need one wait for the same dialog. */
function askToken(detail) {
  asking ??= new Promise((resolve) => {
    const dialog = $('login');
    dialog.returnValue = '';
    $('login-token').value = '';
    setText('login-detail', detail);
    dialog.addEventListener('close', () => {
      asking = null;
      resolve(dialog.returnValue === 'yes');
    }, { once: true });
    dialog.showModal();
    $('login-token').focus();
  });
  return asking;
}

async function problemOf(response) {
  const type = response.headers.get('Content-Type') ?? '';
  const told = type.startsWith('application/problem+json') ? await response.json().catch(() => ({})) : {};
  return new Problem(response.status, told.title || `The server answered ${response.status}`, told.detail);
}

/** request returns the answer to a request if it is a good one. Paths are relative: a proxy may put the page anywhere. */
async function request(path, { method = 'GET', body, signal, limit } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(tokenKey);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    // A page of another site cannot set these without asking, so it cannot make an operator's browser send commands.
    if (method === 'POST') Object.assign(headers, { 'Content-Type': 'application/json', 'X-Splus-Request': '1' });
    const ends = AbortSignal.any([signal, limit && AbortSignal.timeout(limit)].filter(Boolean));
    const sent = fetch(path, { method, headers, body: body && JSON.stringify(body), signal: ends, cache: 'no-store' });
    const response = await sent.catch((error) => {
      if (signal?.aborted) throw error; // nobody waits for it any more
      live.connected(false);
      throw new Problem(0, 'No connection to the server');
    });
    live.connected(true);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    const stale = token !== sessionStorage.getItem(tokenKey); // another request has asked meanwhile
    if (!stale && !(await askToken(token ? 'The server did not accept that token.' : problem.detail))) throw problem;
  }
}

/** ask returns the JSON that a request is answered with. */
async function ask(path, options = {}) {
  const response = await request(path, { ...options, limit: requestSpan });
  const date = Date.parse(response.headers.get('Date'));
  // The header counts whole seconds: less than two of them say nothing about the clocks.
  if (date) skew = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
  return response.json().catch(() => {
    throw new Problem(0, 'The answer of the server broke off');
  });
}

function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  return set.length ? `?${new URLSearchParams(set)}` : '';
}

/** zonePath is where the API has a zone. A browser drops the segment "." of a path even if escaped, so the root is "=2E". */
const zonePath = (name, rest = '') => `v1/zones/${name === '.' ? '=2E' : encodeURIComponent(name)}${rest}`;

// routes -------------------------------------------------------------------------------------------------------------

/** A route is what the part of the address behind # says: #/?state=&search=&offset=, #/zone/NAME?variant=, #/schedule. */
function parseRoute(hash) {
  const [path, rest = ''] = hash.replace(/^#/, '').split('?', 2);
  const given = new URLSearchParams(rest);
  const offset = Math.max(0, parseInt(given.get('offset'), 10) || 0);
  if (path === '/schedule') return { view: 'schedule', offset };
  if (path.startsWith('/zone/')) {
    try {
      return { view: 'zone', name: decodeURIComponent(path.slice('/zone/'.length)), variant: given.get('variant') ?? '' };
    } catch { /* not an address that this page made */ }
  }
  return { view: 'zones', state: given.get('state') ?? '', search: given.get('search') ?? '', offset };
}

const zonesHref = ({ state, search, offset }) => `#/${query({ state, search, offset })}`;
const zoneHref = (z) => `#/zone/${encodeURIComponent(z.name ?? z.zone)}${query({ variant: z.variant })}`;
const rowKey = (z) => `${z.name ?? z.zone} ${z.variant ?? ''}`;

let route = parseRoute(location.hash);
let zonesRoute = { view: 'zones' }; // where "back" leads: the list as it was left

/** navigate goes where the address says. */
function navigate() {
  if (location.hash && !location.hash.startsWith('#/')) return; // a plain anchor
  const before = route;
  route = parseRoute(location.hash);
  if (route.view === 'zones') zonesRoute = route;
  const moved = before.view !== route.view || before.name !== route.name || before.variant !== route.variant;
  if (moved) {
    for (const id of Object.keys(views)) $(id).hidden = true;
    $('retransfer').close(); // it asked about the zone that was in sight
    showProblem(null);
    scrollTo(0, 0);
  }
  for (const id of ['zones', 'schedule']) {
    if (route.view === id) $(`nav-${id}`).setAttribute('aria-current', 'page');
    else $(`nav-${id}`).removeAttribute('aria-current');
  }
  if (moved) live.focus ||= `${route.view}-title`;
  live.abandon();
  if (moved || !live.following) live.follow();
  load();
}

// keeping up with events ---------------------------------------------------------------------------------------------

const live = {
  timer: 0,
  dueAt: Infinity, // of the timer, in ms of performance.now()
  startedAt: -Infinity, // of the latest load
  loading: null, // AbortController of the load that runs
  again: false, // something happened during it
  following: null, // AbortController of the event stream and its attempts
  open: false, // the stream
  goneAt: 0, // since when there is no connection
  focus: '', // the id of what gets it after the next load: a new view starts at its title
  shown: new Set(), // row keys in sight
  watch: null, // the command whose outcome is announced

  abandon() {
    clearTimeout(this.timer);
    this.loading?.abort();
    Object.assign(this, { dueAt: Infinity, loading: null, again: false });
  },

  /** follow follows the events that the view needs; the ones before are let go. */
  follow() {
    this.following?.abort();
    this.following = new AbortController();
    this.open = false;
    followEvents(views[route.view].events(route), this.following.signal);
  },

  connected(is) {
    if (is !== !this.goneAt) {
      this.goneAt = is ? 0 : Date.now();
      setText('outage', is ? '' : `No connection to the server since ${localTime(this.goneAt)}. `
        + 'What you see is from before; the page goes on by itself.');
      $('outage').hidden = is;
    }
    this.showState();
  },

  showState() {
    const state = this.goneAt ? 'gone' : this.open ? 'live' : 'polling';
    $('link').dataset.state = state;
    setText('link', { gone: 'No connection', live: 'Live', polling: `Every ${pollSpan / 1000} s` }[state]);
  },
};

/** reload asks for the view within so many ms, but never twice in minReload and never while nobody looks. */
function reload(within) {
  if (document.hidden) return; // it is loaded when it comes into sight
  const at = performance.now();
  const dueAt = Math.max(at + within, live.startedAt + minReload);
  if (dueAt >= live.dueAt) return;
  clearTimeout(live.timer);
  live.dueAt = dueAt;
  live.timer = setTimeout(load, dueAt - at);
}

/** load asks for what the view shows, and shows it. */
async function load() {
  clearTimeout(live.timer);
  live.dueAt = Infinity;
  if (live.loading) {
    live.again = true; // a slow server gets no second request before it has answered the first
    return;
  }
  const view = views[route.view];
  const loading = (live.loading = new AbortController());
  live.startedAt = performance.now();
  let next = pollSpan;
  try {
    const data = await view.load(route, loading.signal);
    if (loading.signal.aborted) return;
    $(route.view).hidden = false;
    view.show(data, route);
    if (loading.signal.aborted) return; // it has led elsewhere
    showProblem(null);
    next = Math.min(pollSpan, view.pause(data));
    if (live.focus) $(live.focus).focus({ preventScroll: true });
    live.focus = '';
  } catch (problem) {
    if (loading.signal.aborted) return;
    if (!(problem instanceof Problem)) console.error(problem);
    next = problem.status === 401 ? Infinity : pollSpan; // without a token asking again would only ask for it again
    if (problem.status !== 0) showProblem(problem);
    else if (live.open) live.follow(); // a stream of a host that is gone without a word stays open for hours
  }
  live.loading = null;
  reload(live.again ? 0 : next);
  live.again = false;
}

function showProblem(problem) {
  $('problem').hidden = !problem;
  if (!problem) return;
  if (problem.status === 404) $(route.view).hidden = true;
  setText('problem-title', problem.title ?? 'The page has failed');
  setText('problem-detail', problem.detail ?? String(problem));
}

const pause = (ms, signal) => new Promise((resolve) => {
  setTimeout(resolve, ms);
  signal.addEventListener('abort', resolve, { once: true });
});

/** followEvents keeps the stream of events open until it is aborted. EventSource cannot send a token, so fetch does it. */
async function followEvents(filter, signal) {
  let failures = 0;
  while (!signal.aborted) {
    const openedAt = performance.now();
    let refused = false;
    try {
      const response = await request(`v1/events${filter}`, { signal });
      live.open = true;
      live.showState();
      reload(0); // what happened before the stream began
      await readEvents(response.body, signal);
    } catch (problem) {
      if (problem.status === 401) return; // "Try again" begins anew
      refused = problem.status > 0;
    }
    if (signal.aborted) return;
    live.open = false;
    live.showState();
    failures = performance.now() - openedAt > maxPause ? 1 : failures + 1;
    const wait = refused ? pollSpan : Math.min(maxPause, 500 * 2 ** failures);
    await pause(wait * (0.75 + Math.random() / 2), signal); // or all pages come back to a server at the same moment
  }
}

/** readEvents reads a stream of server-sent events to its end. */
async function readEvents(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  let kind = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done || signal.aborted) return;
    const lines = (text + value).split(/\r?\n/);
    text = lines.pop();
    if (text.length > maxLine) throw new Error('a line of the event stream has no end');
    for (const line of lines) {
      if (line === '') kind = '';
      else if (line.startsWith('event:')) kind = line.slice(6).trim();
      else if (line.startsWith('data:') && kind !== 'lost') happened(JSON.parse(line.slice(5)));
      if (kind === 'lost') reload(0);
    }
  }
}

const failed = (e) => !['ok', 'accepted', 'unsigned'].includes(e.result) && e.kind !== 'remark';

/** happened takes an event. On a server with thousands of zones most are successful checks of zones out of sight. */
function happened(e) {
  const matters = route.view === 'zone' || live.shown.has(rowKey(e)) || failed(e);
  reload(matters ? 0 : calmReload);
}

// parts of views -----------------------------------------------------------------------------------------------------

/** table draws columns [label, class] and rows {key, cells}; the first cell names its row. Narrow screens stack cells. */
function table(columns, rows, { name, list = false }) {
  const head = columns.map(([label, kind]) => el('th', { scope: 'col', role: 'columnheader', class: kind }, label));
  const row = ({ key, cells }) => el('tr', { role: 'row', 'data-key': key }, cells.map((content, i) => {
    if (i === 0) return el('th', { scope: 'row', role: 'rowheader' }, content);
    const blank = content == null || content === '';
    const kind = `${columns[i][1] ?? ''} ${blank ? 'blank' : ''}`;
    return el('td', { role: 'cell', class: kind, 'data-label': columns[i][0] }, el('div', { class: 'cell' }, content));
  }));
  // The roles say what these are where the style makes cards of them.
  return el('table', { class: `stack ${list ? 'list' : ''}`, role: 'table', 'aria-label': name },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, head)),
    el('tbody', { role: 'rowgroup' }, rows.map(row)));
}

const card = (key, title, ...children) =>
  el('section', { class: 'card', 'data-key': key }, title && el('h2', {}, title), ...children);

const sub = (...children) => el('span', { class: 'sub' }, ...children);

const lastOffset = (matching) => Math.max(0, Math.floor((matching - 1) / pageSize) * pageSize);

function pager({ offset, shown, matching, noun }, hrefFor) {
  // A step that leads nowhere keeps the focus that it may have.
  const step = (label, to, possible) => el('a', {
    class: 'button', 'data-key': label, role: 'link', tabindex: '0', href: possible && hrefFor(to),
    'aria-disabled': !possible && 'true',
  }, label);
  const more = offset + shown < matching;
  return el('nav', { class: 'pager', 'aria-label': 'Pages', 'data-key': 'pager' },
    el('p', { id: `${noun}-range`, class: 'number' },
      matching === 0 ? `No ${noun}s` : `${number(offset + 1)}–${number(offset + shown)} of ${counted(matching, noun)}`),
    matching > pageSize && [
      step('First', 0, offset > 0), step('Previous', Math.max(0, offset - pageSize), offset > 0),
      step('Next', offset + pageSize, more), step('Last', lastOffset(matching), more),
    ]);
}

/** drawList draws a page of a table and the way to the others, and goes to the last if the one asked for is behind it. */
function drawList(id, noun, { columns, rows, name, empty, asked, offset, matching }, hrefFor) {
  draw(id, card('list', null, rows.length ? table(columns, rows, { name, list: true }) : el('p', { class: 'empty' }, empty)),
    pager({ offset, shown: rows.length, matching, noun }, hrefFor));
  if (asked === 0 || asked < matching) return;
  history.replaceState(null, '', hrefFor(lastOffset(matching)));
  navigate();
}

const signs = {
  Normal: ['ok', 'ok'], Degraded: ['degraded', 'warn'], Blocked: ['bad', 'bad'], Unknown: ['unknown', 'unknown'],
};

function stateBadge(state) {
  const [name, tone] = signs[state] ?? ['warn', 'warn'];
  return badge(name, tone, state);
}

const zoneBadges = (z) => el('span', { class: 'badges' }, stateBadge(z.state),
  z.expired ? badge('down', 'bad', 'Expired') : !z.served && badge('down', 'bad', 'Not served'),
  z.behindAt && badge('behind', 'warn', 'Behind'));

const progressWords = (t) => `${counted(t.records, 'record')}, ${bytes(t.bytes)}`;

// the overview -------------------------------------------------------------------------------------------------------

const filters = [ // value in the address, count, label, icon, tone where the count is not 0
  ['', 'total', 'All', 'all', ''],
  ['blocked', 'blocked', 'Blocked', 'bad', 'bad'],
  ['notserved', 'notServed', 'Not served', 'down', 'bad'],
  ['behind', 'behind', 'Behind', 'behind', 'warn'],
  ['degraded', 'degraded', 'Degraded', 'degraded', 'warn'],
  ['unknown', 'unknown', 'Unknown', 'unknown', 'unknown'],
  ['normal', 'normal', 'Normal', 'ok', 'ok'],
];

function headline(c, store) {
  const zones = zonesInWords(c);
  return store.state === 'failing' ? `${zones}${/^(All|The|No)/.test(zones) ? ', but' : ', and'} the store fails` : zones;
}

/** storeWords says whether what is served outlives the process. */
function storeWords(store) {
  if (store.state === 'off') return 'nothing is kept over a restart';
  if (store.state !== 'failing') return `kept in ${store.path}`;
  return el('strong', { class: 'bad' }, `not kept: the store ${store.path} fails`);
}

/** storeTrouble says what is wrong with the store and what that means; null for nothing. */
function storeTrouble(store) {
  if (store.state !== 'failing') return null;
  return el('section', { class: 'verdict bad', 'data-key': 'store', 'aria-label': 'Store' },
    el('h2', {}, icon('bad'), 'The store fails'),
    el('p', { class: 'advice' }, 'Mend it before the next restart: what it lacks is transferred again then.'),
    el('p', {}, store.error),
    el('p', {}, 'It fails since ', when('at', store.sinceAt), ', for ', when('lasting', store.sinceAt), '. ',
      `${counted(store.unsaved, 'zone')} ${store.unsaved === 1 ? 'is' : 'are'} served with contents that it has not.`));
}

function zonesInWords(c) {
  if (c.total === 0) return 'No zones';
  const are = (n) => (n === 1 ? 'is' : 'are');
  const said = (counts) => counts.filter(([n]) => n > 0)
    .map(([n, what], i) => `${i === 0 ? counted(n, 'zone') : number(n)} ${are(n)} ${what}`).join(', ');
  const troubles = said([[c.blocked, 'Blocked'], [c.notServed, 'not served'], [c.degraded, 'Degraded']])
    || said([[c.behind, 'behind'], [c.unknown, 'Unknown']]);
  if (troubles) return troubles;
  return c.total === 1 ? 'The zone is in order' : `All ${number(c.total)} zones are in order`;
}

/** zoneLink names the variant where there is one. */
function zoneLink(z) {
  return [el('a', { class: 'name', href: zoneHref(z) }, z.name), z.variant && sub(z.variant)];
}

function zoneRow(z) {
  return {
    key: rowKey(z),
    cells: [
      zoneLink(z),
      [zoneBadges(z), z.reason && sub(reasonWords(z.reason)),
        z.discards > 0 && sub(`${counted(z.discards, 'record')} discarded`)],
      serial(z.serial),
      z.served ? number(z.records) : '',
      when('ago', z.checkedAt),
      z.transfer
        ? [el('span', { class: 'busy' }, icon('move'), ' Transfer'), sub(progressWords(z.transfer))]
        : z.nextAt ? when('in', z.nextAt) : 'now',
    ],
  };
}

function emptyList(r, c) {
  if (c.total === 0) return 'No zones yet: name some in a secondaryplus block of the Corefile.';
  if (!r.search) return 'No zone is in this state.';
  return [`No zone matches “${r.search}”. `, el('a', { href: zonesHref({ state: r.state }) }, 'Clear the search')];
}

function showZones([status, page], r) {
  const c = page.counts;
  setText('host', status.host);
  setText('zones-title', headline(c, status.store));
  document.title = `${c.blocked ? `(${c.blocked}) ` : ''}${status.host} – secondaryplus`;
  const t = status.transfers;
  draw('server', `secondaryplus ${status.version}, started `, when('ago', status.startedAt), ' · ',
    `${counted(t.running, 'transfer')} running, ${number(t.waiting)} waiting, at most ${number(t.limit)}`, ' · ',
    el('span', { class: 'name' }, storeWords(status.store)));
  draw('store', storeTrouble(status.store));
  draw('filters', filters.map(([state, count, label, name, tone]) => el('a', {
    href: zonesHref({ state, search: r.search }), 'data-key': label, class: c[count] === 0 && 'none',
    'aria-current': r.state === state && 'true',
  }, el('b', {}, number(c[count])), el('span', { class: c[count] > 0 && tone }, icon(name), label))));
  if (document.activeElement !== $('query')) $('query').value = r.search;
  live.shown = new Set(page.zones.map(rowKey));
  drawList('zone-list', 'zone', {
    columns: [['Zone'], ['State'], ['Serial'], ['Records', 'number'], ['Confirmed'], ['Next']],
    rows: page.zones.map(zoneRow), name: 'Zones, the ones that need attention first', empty: emptyList(r, c),
    asked: r.offset, offset: page.offset, matching: page.matching,
  }, (offset) => zonesHref({ ...r, offset }));
}

let typing = 0; // the timer after the latest key in the search field

function search() {
  clearTimeout(typing);
  const wanted = $('query').value.trim();
  if (route.view !== 'zones' || wanted === route.search) return;
  history.replaceState(null, '', zonesHref({ state: route.state, search: wanted }));
  navigate();
}

// one zone -----------------------------------------------------------------------------------------------------------

/** verdict says how the zone stands, what to do, why, and what it means for queries. */
function verdict(z) {
  const blocked = z.links.filter((l) => l.state === 'Blocked');
  const isBlocked = z.state === 'Blocked';
  const [name, tone] = isBlocked ? signs.Blocked : !z.served ? ['down', z.expired ? 'bad' : 'warn']
    : z.behindAt ? ['behind', 'warn'] : signs[z.state] ?? signs.Unknown;
  const more = z.expired ? ', expired' : !z.served ? ', not served' : z.behindAt && !isBlocked ? ', behind' : '';
  const reasons = new Set(blocked.map((l) => l.reason));
  const why = !isBlocked ? '' : reasons.size > 1 ? ': every primary fails' : `: ${reasonWords(z.reason || 'other')}`;
  // Links with the same advice share it.
  const advice = Object.entries(Object.groupBy(blocked, (l) => l.advice ?? ''));
  return el('section', { class: `verdict ${tone}`, 'data-key': 'verdict', 'aria-label': 'State' },
    el('h2', {}, icon(name), `${z.state}${more}${why}`),
    !isBlocked && el('p', {}, consequence(z)),
    !isBlocked && blocked.length > 0 && el('h3', {}, `${blocked.length} of ${counted(z.links.length, 'link')} Blocked`),
    advice.map(([text, links]) => [
      text && el('p', { class: isBlocked && 'advice' }, text),
      el('ul', {}, links.map((l) => el('li', {}, el('strong', {}, l.primary), `: ${reasonWords(l.reason || 'other')}`,
        cause(z, l) && ` (${cause(z, l)})`))),
    ]),
    isBlocked && el('p', {}, consequence(z)),
    z.sinceAt && el('p', {}, `${z.state} since `, when('at', z.sinceAt), ', for ', when('lasting', z.sinceAt), '.'));
}

/** cause returns the words that the latest failure of a link left. */
const cause = (z, l) => z.events.find((e) => e.primary === l.primary && e.result === l.reason && e.text)?.text;

function consequence(z) {
  if (z.expired) return 'What was transferred is too old and withdrawn: queries get SERVFAIL until a transfer succeeds.';
  if (!z.served) return 'It has not been transferred yet: queries get SERVFAIL until a transfer succeeds.';
  return ['Queries are answered from serial ', serial(z.serial),
    z.state === 'Blocked' && z.expireAt ? [', until it expires ', when('countdown', z.expireAt), '.']
      : z.checkedAt ? [', which a primary confirmed ', when('ago', z.checkedAt), '.'] : '.',
    z.behindAt && [' A primary has had a newer version for ', when('lasting', z.behindAt), '.']];
}

function transferCard(z) {
  const t = z.transfer;
  if (!t) return null;
  const rate = t.bytes / Math.max(1, (now() - Date.parse(t.beganAt)) / 1000);
  return card('transfer', null, el('p', {}, el('span', { class: 'busy' }, icon('move')), ' ',
    el('strong', {}, 'Transfer in progress'), ` from ${t.primary} for `, when('lasting', t.beganAt),
    `: ${progressWords(t)} so far, ${bytes(rate)}/s`));
}

const fact = (term, ...value) => [el('dt', {}, term), el('dd', {}, ...value)];

/** spanFact shows a timer, and what the SOA has where the limits of the configuration changed it. */
function spanFact(term, inForce, ofSOA) {
  if (!inForce) return false; // before the first transfer there are none
  const text = el('span', { title: `${number(inForce)} seconds` }, span(inForce * 1000));
  return fact(term, text, ofSOA > 0 && ofSOA !== inForce && ` (the SOA has ${span(ofSOA * 1000)})`);
}

function timersCard(z) {
  const soa = z.servedSOA ?? {};
  return card('timers', 'Timers', el('dl', { class: 'facts' },
    fact('Next attempt', z.transfer || !z.nextAt ? 'running now' : when('countdown', z.nextAt)),
    z.expireAt && fact(z.expired ? 'Expired' : 'Expires', when(z.expired ? 'ago' : 'countdown', z.expireAt)),
    fact('Last success', when('ago', z.checkedAt)),
    z.failures > 0 && fact('Failed rounds', `${number(z.failures)} in a row`),
    spanFact('Refresh', z.timers.refresh, soa.refresh),
    spanFact('Retry', z.timers.retry, soa.retry),
    spanFact('Expire', z.timers.expire, soa.expire)));
}

function contentsCard(z) {
  return card('contents', 'Contents', el('dl', { class: 'facts' },
    fact('Served', z.served ? ['serial ', serial(z.serial)] : 'no'),
    z.served && fact('Records', `${number(z.records)}, ${bytes(z.bytes)}`),
    z.served && fact('DNSSEC', z.signed ? 'signed' : 'not signed'),
    fact('Discarded', z.discards > 0 ? counted(z.discards, 'record') : 'none'),
    z.behindAt && fact('Behind', 'since ', when('at', z.behindAt)),
    z.differAt && fact('Primaries differ', 'since ', when('at', z.differAt)),
    z.variant && fact('Variant', z.variant),
    fact(z.blocks.length > 1 ? 'Server blocks' : 'Server block', z.blocks.join(', '))));
}

function soaCard(z) {
  const columns = [['Version'], ['Serial'], ['Primary'], ['Mailbox'], ['Refresh'], ['Retry'], ['Expire'], ['Minimum']];
  const time = (s) => (s > 0 ? el('span', { title: `${number(s)} seconds` }, span(s * 1000)) : '');
  const rows = [['Served', z.servedSOA, 'no contents'], ['Saved', z.savedSOA, 'a restart brings nothing back'],
    ['Notified', z.notifiedSOA, 'no NOTIFY told one']].map(([name, s, none]) => ({
    key: name,
    cells: !s ? [name, sub(none), '', '', '', '', '', ''] : [
      [name, s.at && sub(when('at', s.at))],
      [serial(s.serial), name !== 'Served' && z.servedSOA && sub(aheadWords(z.servedSOA.serial, s.serial))],
      s.primary, s.mailbox, time(s.refresh), time(s.retry), time(s.expire), time(s.minimum),
    ],
  }));
  return card('soas', 'SOA: served, saved and notified', table(columns, rows, { name: 'SOA records' }));
}

function linksCard(z) {
  const columns = [['Primary'], ['State'], ['Serial'], ['Since'], ['Last success'], ['Back-off']];
  const isAhead = (at) => at && Date.parse(at) > now(); // still in the future
  const rows = z.links.map((l) => ({
    key: `${l.primary} ${l.key}`,
    cells: [
      [el('span', { class: 'name' }, l.primary), l.key && sub(`key ${l.key}`)],
      [stateBadge(l.state), l.reason && sub(reasonWords(l.reason)),
        l.damped && sub('It fell so often of late that it stays Blocked until it holds.')],
      [serial(l.serial), z.servedSOA && l.serial != null && sub(aheadWords(z.servedSOA.serial, l.serial))],
      when('at', l.sinceAt),
      [when('ago', l.lastOkAt), l.failures > 0 && sub(`${counted(l.failures, 'failure')} in a row`,
        l.failedAt && [', the last ', when('ago', l.failedAt)])],
      isAhead(l.retryAt) || l.ways ? [isAhead(l.retryAt) && ['ends ', when('countdown', l.retryAt)],
        (l.ways || []).map((w) => sub(`${w.text} until `, when('at', w.tillAt)))] : '',
    ],
  }));
  return card('links', 'Primaries', table(columns, rows, { name: 'Links to the primaries' }));
}

const belowSigns = {
  current: ['ok', 'ok', 'Current'], behind: ['behind', 'warn', 'Behind'], failing: ['bad', 'bad', 'Failing'],
  unknown: ['unknown', 'unknown', 'Unknown'],
};

/** notifyCell says what became of the latest NOTIFY to a secondary; nothing where it gets none. */
function notifyCell(n) {
  if (!n) return '';
  const words = { none: 'nothing to tell yet', bad_answer: 'answer does not count' }[n.result] ?? n.result;
  return [n.serial != null && [serial(n.serial), ' '], words, n.answer && ` (${reasonWords(n.answer)})`,
    n.failingSinceAt ? sub(`${counted(n.attempts, 'attempt')} since `, when('at', n.failingSinceAt))
      : n.at && sub(when('ago', n.at))];
}

function secondariesCard(z) {
  if (z.secondaries.length === 0) return null;
  const columns = [['Secondary'], ['State'], ['Serial'], ['Behind for'], ['Last transfer'], ['Last NOTIFY']];
  const rows = z.secondaries.map((s) => ({
    key: s.address,
    cells: [
      [el('span', { class: 'name' }, s.address), s.key && sub(`key ${s.key}`)],
      badge(...(belowSigns[s.state] ?? ['warn', 'warn', s.state])),
      s.has == null ? '' : [serial(s.has), z.servedSOA && sub(aheadWords(z.servedSOA.serial, s.has))],
      s.behindAt ? when('lasting', s.behindAt) : '',
      [s.sent && [`${kindWords[s.sent.kind] ?? s.sent.kind} of `, serial(s.sent.serial), `, ${bytes(s.sent.bytes)}`,
        sub(when('ago', s.sent.at))],
      s.asked && sub(`asked from ${s.asked.serial} `, when('ago', s.asked.at))].filter(Boolean),
      notifyCell(s.notified),
    ],
  }));
  return card('secondaries', 'Our own secondaries', table(columns, rows, { name: 'Our own secondaries' }));
}

/** chart draws a figure per event as bars; values are {value, kind, title} or null, oldest first. Failures set no scale. */
function chart(key, title, latest, values) {
  const top = Math.max(0, ...values.filter((v) => v && v.kind !== 'failed').map((v) => v.value)) || 1;
  const slots = Math.max(values.length, 20); // a few bars do not fill the width
  const height = (v) => Math.max(2, Math.min(1, v.value / top) * 66); // a zero is a thin line, not nothing
  const bars = values.map((v, i) => v && svg('rect', {
    class: v.kind, x: i * 10 + 1.5, width: 7, y: 70 - height(v), height: height(v),
  }, svg('title', {}, v.title)));
  return el('figure', { class: 'chart', 'data-key': key },
    el('figcaption', {}, el('strong', {}, title), el('span', { class: 'quiet' }, latest)),
    svg('svg', {
      viewBox: `0 0 ${slots * 10} 70`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${latest}`,
    }, bars));
}

const tookOf = (e) => (['axfr', 'ixfr', 'current'].includes(e.kind) && e.seconds > 0 ? e.seconds : null);

function lagOf(e) {
  if (!['soa', 'notify'].includes(e.kind) || e.from == null || e.to == null) return null;
  return Math.max(0, ahead(e.from, e.to) ?? 0);
}

/** chartCard shows how long transfers took and how far behind checks found the zone, of the events at hand. */
function chartCard(z) {
  const events = z.events.filter((e) => tookOf(e) !== null || lagOf(e) !== null).reverse();
  if (events.length < 2) return null;
  const title = (e) => `${localTime(Date.parse(e.at))} ${kindWords[e.kind]}${failed(e) ? `, ${reasonWords(e.result)}` : ''}`;
  const bars = (of, words, kind) => events.map((e) =>
    of(e) !== null && { value: of(e), kind: kind(e), title: `${title(e)}: ${words(of(e))}` });
  const summary = (values, words) => {
    const good = values.filter((v) => v && v.kind !== 'failed').map((v) => v.value);
    const bad = values.filter((v) => v && v.kind === 'failed').length;
    return [good.length ? `latest ${words(good.at(-1))}, most ${words(Math.max(...good))}` : 'none',
      bad > 0 && `${number(bad)} failed`].filter(Boolean).join(', ');
  };
  const took = bars(tookOf, seconds, (e) => failed(e) && 'failed');
  const lags = bars(lagOf, number, () => 'lag');
  return card('charts', 'Of the latest events',
    chart('took', 'Transfers took', summary(took, seconds), took),
    chart('lags', 'Serials behind at checks and NOTIFYs', summary(lags, number), lags),
    el('p', { class: 'ends' }, when('at', events[0].at), when('at', events.at(-1).at)));
}

function discardsCard(z) {
  if (z.discarded.length === 0) return null;
  const listed = z.discarded.reduce((sum, d) => sum + d.records, 0);
  const columns = [['Name'], ['Type'], ['Records', 'number'], ['Rule']];
  const rows = z.discarded.map((d) => ({
    cells: [el('span', { class: 'name' }, d.name), d.type, number(d.records), reasonWords(d.rule)],
  }));
  return card('discards', null, el('details', { open: z.discarded.length <= 10 },
    el('summary', {}, `Discarded: ${counted(z.discards, 'record')} not served`),
    el('div', { class: 'scroll tall', tabindex: '0', role: 'region', 'aria-label': 'Discarded records' },
      listed < z.discards && el('p', { class: 'quiet' }, `The first ${number(z.discarded.length)} sets are listed.`),
      table(columns, rows, { name: 'Discarded records' }))));
}

const kindWords = {
  soa: 'SOA check', axfr: 'AXFR', ixfr: 'IXFR', current: 'Transfer without news', notify: 'NOTIFY', expired: 'Withdrawn',
  restored: 'Restored from the store', command: 'Command', remark: 'Remark',
};

/** eventWords returns what an event says, in words. */
function eventWords(e) {
  const whom = e.primary ? ` ${e.kind === 'soa' ? 'at' : 'from'} ${e.primary}` : '';
  const what = `${kindWords[e.kind] ?? e.kind}${whom}: ${e.kind === 'command' ? e.text : reasonWords(e.result)}`;
  const serials = e.from != null && e.to != null && e.from !== e.to ? `serial ${e.from} → ${e.to}`
    : e.to != null || e.from != null ? `serial ${e.to ?? e.from}` : '';
  const figures = [serials, e.records > 0 && counted(e.records, 'record'), e.bytes > 0 && bytes(e.bytes),
    e.seconds > 0 && seconds(e.seconds)].filter(Boolean);
  return { what, figures: figures.join(', ') };
}

function eventItem(e) {
  const { what, figures } = eventWords(e);
  const [name, tone] = failed(e) ? signs.Blocked : e.kind === 'remark' ? ['warn', 'warn']
    : ['axfr', 'ixfr', 'restored'].includes(e.kind) ? signs.Normal : ['dot', 'unknown'];
  return el('li', { 'data-key': String(e.id) }, icon(name, tone), when('at', e.at),
    el('div', {}, what, e.count > 1 && el('strong', {}, ` × ${number(e.count)}`),
      e.count > 1 && e.firstAt && [' since ', when('at', e.firstAt)],
      figures && el('span', { class: 'quiet' }, ` · ${figures}`),
      e.kind !== 'command' && sub([e.text, e.advice].filter(Boolean).join('. '))));
}

function eventsCard(z) {
  return card('events', 'Events', z.events.length
    ? el('ol', { class: 'events' }, z.events.map(eventItem))
    : el('p', { class: 'quiet' }, 'None yet.'));
}

function showZone(z) {
  setText('zone-title', z.name);
  document.title = `${z.state} – ${z.name} – ${$('host').textContent || 'secondaryplus'}`;
  $('zone-actions').hidden = false;
  $('export').hidden = !z.served;
  $('zone').querySelector('[data-command="notify"]').hidden = !z.secondaries.some((s) => s.notified);
  $('export').href = `${zonePath(z.name, '/export')}${query({ variant: z.variant })}`;
  $('zone').querySelector('[data-action="back"]').href = zonesHref(zonesRoute);
  draw('zone-verdict', verdict(z));
  draw('zone-body',
    transferCard(z),
    el('div', { class: 'pair', 'data-key': 'pair' }, timersCard(z), contentsCard(z)),
    linksCard(z), secondariesCard(z), soaCard(z), chartCard(z), discardsCard(z), eventsCard(z));
  announceOutcome(z);
}

/** untilChange returns when a zone will have changed without an event to tell: a transfer goes on, or an attempt begins. */
function untilChange(z) {
  if (z.transfer) return minReload;
  if (z.secondaries.some((s) => s.behindAt || s.notified?.result === 'waiting')) return calmReload; // no event tells its end
  const left = [z.nextAt, z.expireAt].filter(Boolean).map((at) => Date.parse(at) - now()).filter((ms) => ms > 0);
  return Math.min(...left) + minReload;
}

// schedule -----------------------------------------------------------------------------------------------------------

function showSchedule(page, r) {
  document.title = `Schedule – ${$('host').textContent || 'secondaryplus'}`;
  live.shown = new Set(page.appointments.map(rowKey));
  const row = (a) => ({
    key: rowKey(a),
    cells: [zoneLink(a), reasonWords(a.why), a.why === 'running' ? 'now' : when('countdown', a.at), when('at', a.at)],
  });
  drawList('schedule-list', 'appointment', {
    columns: [['Zone'], ['What'], ['Due'], ['At']], rows: page.appointments.map(row),
    name: 'Schedule', empty: 'Nothing is scheduled.',
    asked: r.offset, offset: page.offset, matching: page.matching,
  }, (offset) => `#/schedule${query({ offset })}`);
}

// views --------------------------------------------------------------------------------------------------------------

/** A view loads its data, shows it, says which events concern it, and in how many ms it changes without one. */
const views = {
  zones: {
    load: (r, signal) => Promise.all([ask('v1/status', { signal }),
      ask(`v1/zones${query({ state: r.state, search: r.search, offset: r.offset, limit: pageSize })}`, { signal })]),
    show: showZones,
    events: () => '',
    pause: ([, page]) => (page.zones.some((z) => z.transfer) ? 2 * minReload : Infinity),
  },
  zone: {
    load: (r, signal) => ask(`${zonePath(r.name)}${query({ variant: r.variant })}`, { signal }),
    show: (z) => showZone({
      ...z, links: z.links ?? [], secondaries: z.secondaries ?? [], discarded: z.discarded ?? [], events: z.events ?? [],
    }),
    events: (r) => query({ zone: r.name, variant: r.variant }),
    pause: untilChange,
  },
  schedule: {
    load: (r, signal) => ask(`v1/schedule${query({ offset: r.offset, limit: pageSize })}`, { signal }),
    show: showSchedule,
    events: () => '',
    pause: () => Infinity,
  },
};

// commands -----------------------------------------------------------------------------------------------------------

let fading = 0;

/** announce says something to the eye and to the screen reader. */
function announce(text, isBad = false) {
  clearTimeout(fading);
  $('toast').replaceChildren(...(isBad ? [icon('bad'), ' '] : []), text);
  fading = setTimeout(() => $('toast').replaceChildren(), isBad ? 20_000 : 8000);
}

/** command sends a command for the zone of the view. */
async function command(verb, label, button, body) {
  if (button.getAttribute('aria-busy')) return;
  const { name, variant } = route;
  button.setAttribute('aria-busy', 'true');
  try {
    const done = await ask(`${zonePath(name, `/${verb}`)}${query({ variant })}`, { method: 'POST', body });
    live.watch = { id: done.eventId, name, until: performance.now() + watchSpan };
    announce(`${label}: accepted.`);
    reload(0);
  } catch (problem) {
    announce(`${label}: ${problem.message}`, true);
  }
  button.removeAttribute('aria-busy');
}

/** announceOutcome tells what followed from the latest command. */
function announceOutcome(z) {
  const w = live.watch;
  if (!w || w.name !== route.name || performance.now() > w.until) return;
  const news = z.events.filter((e) => e.id > w.id && e.kind !== 'command');
  if (news.length === 0) return;
  w.id = Math.max(...news.map((e) => e.id));
  const { what, figures } = eventWords(news[0]);
  announce(figures ? `${what}, ${figures}` : what, failed(news[0]));
}

/** download fetches the export with the token, which a plain link cannot send. */
async function download(link) {
  try {
    const response = await request(link.href);
    const url = URL.createObjectURL(await response.blob());
    el('a', { href: url, download: `${route.name.replaceAll('/', '_')}zone` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (problem) {
    announce(`Export: ${problem.message}`, true);
  }
}

const actions = {
  skip: (_, event) => {
    event.preventDefault();
    $('main').focus();
  },
  export: (target, event) => {
    if (!sessionStorage.getItem(tokenKey)) return; // the link does it
    event.preventDefault();
    download(target);
  },
  close: (target) => target.closest('dialog').close(),
  retry: () => {
    live.abandon();
    live.follow();
    load();
  },
  'ask-retransfer': () => {
    setText('retransfer-zone', route.name);
    $('retransfer-force').checked = false;
    $('retransfer').returnValue = '';
    $('retransfer').showModal();
    $('retransfer').querySelector('[data-action="close"]').focus(); // Enter alone changes nothing
  },
};

document.addEventListener('click', (event) => {
  const target = event.target.closest('[data-action], [data-command]');
  if (!target) return;
  if (target.dataset.command) command(target.dataset.command, target.textContent, target);
  else actions[target.dataset.action]?.(target, event);
});

document.addEventListener('keydown', (event) => {
  const busy = event.target.closest?.('input, dialog');
  if (event.key !== '/' || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (route.view === 'zones') return $('query').focus();
  live.focus = 'query';
  location.hash = zonesHref(zonesRoute);
});

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  search();
});
$('query').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(search, 250);
});
$('login').addEventListener('submit', () => {
  sessionStorage.setItem(tokenKey, $('login-token').value);
  $('login').returnValue = 'yes';
});
$('retransfer').addEventListener('submit', () => {
  const button = document.querySelector('[data-action="ask-retransfer"]');
  command('retransfer', 'Retransfer', button, { force: $('retransfer-force').checked });
});

// A page that nobody looks at asks for nothing and holds no stream.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) return navigate();
  live.abandon();
  live.following?.abort();
  Object.assign(live, { following: null, open: false });
});

window.addEventListener('hashchange', navigate);
setInterval(tick, 1000);
if (!document.hidden) navigate();
// The other views do not ask for the status, but every tab says whose page it is.
if (route.view !== 'zones') ask('v1/status').then((status) => setText('host', status.host), () => {});
