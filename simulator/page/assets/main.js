// The page: takes a snapshot, follows the changes, and hands both to the phone
// and the wire.
import { el, icon, iconButton, replace } from './dom.js';
import { t, language, setLanguage } from './i18n.js';
import { ask, listen } from './api.js';
import { Phone } from './phone.js';
import { Wire } from './wire.js';
import { Settings } from './settings.js';

const app = {
  state: { accounts: [], users: [], chats: new Map(), exchanges: new Map(), calls: new Map() },
  skew: 0, // the server's clock before the browser's, ms
  connected: false,
  selected: JSON.parse(sessionStorage.getItem('echostr.selected')) ?? { account: null, users: {} }, // a user of each account
  seen: new Map(), // how many bubbles of each user were seen
  tab: 'phone',
  answering: new Map(), // the exchange of each customer-service message, by the ids of both
  awaited: null, // the exchange that is to be shown when it is heard of

  now: () => Date.now() + app.skew,
  account: () => app.state.accounts.find((a) => a.appID === app.selected.account) ?? app.state.accounts[0],
  user: () => {
    const mine = app.state.users.filter((u) => u.account === app.account()?.appID);
    return mine.find((u) => u.openID === app.selected.users[app.account()?.appID]) ?? mine[0];
  },
  chat: (openID = app.user()?.openID) => [...(app.state.chats.get(openID)?.values() ?? [])],
  exchanges: () => [...app.state.exchanges.values()].filter((x) => x.account === app.account()?.appID),

  isHere: (call) => !call.account || call.account === app.account()?.appID,
  calls: () => [...app.state.calls.values()].filter(app.isHere),

  // later is what came of an exchange after its pushes: the customer-service messages that
  // answer it, and the taps on links in its answer, which are exchanges of their own.
  later: (x) => ({
    deliveries: app.chat(x.user).filter((b) => b.way === 'api' && app.answers(b) === x.id),
    taps: app.exchanges().filter((other) => other.root === x.id),
  }),

  // answers is the id of the exchange that a bubble of the account answers. WeChat's API does not
  // say what a customer-service message answers, so that is guessed: the newest exchange that no
  // push has answered and that has no such message yet, else the newest that no push has
  // answered, else the newest.
  answers(b) {
    if (b.way !== 'api') return b.exchange;
    if (!app.answering.has(b.id)) {
      const answers = (way) => new Set(app.chat(b.openID).filter((other) => other.id < b.id && other.way === way).map(app.answers));
      const [pushed, sent] = [answers('passive'), answers('api')];
      const before = [...app.state.exchanges.values()].filter((x) => x.user === b.openID && x.at <= b.at);
      const open = before.filter((x) => !pushed.has(x.id));
      const x = open.findLast((other) => !sent.has(other.id)) ?? open.at(-1) ?? before.at(-1);
      if (!x) return undefined; // it has not been heard of yet
      app.answering.set(b.id, x.id);
    }
    return app.answering.get(b.id);
  },

  // trace finds out which answer had the link that was tapped to begin an exchange: x.from is the
  // exchange that was answered so, and x.root the first one of such a row.
  trace(x) {
    if (x.menuID === null || x.captured) return;
    const tapped = (link, id) => (id ?? '') === x.menuID && link.content === x.text;
    const b = app.chat(x.user).findLast((other) => other.from === 'account' && other.at <= x.at &&
      (other.spans?.some((s) => tapped(s, s.menu_id)) || other.entries?.some((e) => tapped(e, e.id))));
    x.from = b && app.answers(b);
    x.root = app.state.exchanges.get(x.from)?.root ?? x.from;
  },

  // reply is the bubble in which the user reads the reply to a push.
  reply: (x) => app.chat(x.user).find((b) => b.exchange === x.id && b.way === 'passive'),

  // answered says which exchange a bubble answers, after how long, and on which push if on any.
  answered(b) {
    const x = app.state.exchanges.get(app.answers(b));
    const last = x?.pushes.at(-1);
    if (b.way === 'api') return x && { exchange: x.id, after: b.at - x.at };
    return last && { exchange: x.id, push: last.number, after: last.start + last.duration - x.at };
  },

  // unread are the users to whom something was said while another was shown.
  unread: () => new Set(app.state.users.filter((u) => u !== app.user() && app.chat(u.openID).length > (app.seen.get(u.openID) ?? 0)).map((u) => u.openID)),

  select(openID) {
    app.selected.users[app.account().appID] = openID;
    keepSelected();
    read();
    drawTop();
    phone.draw();
  },

  selectAccount(appID) {
    app.selected.account = appID;
    keepSelected();
    read();
    app.show(null); // what is shown is the other account's
    phone.leave();
    drawAll();
    settings.draw();
  },

  // act does something as the user. It returns when the simulator has taken it
  // on: what comes of it is heard as changes, so several may be under way.
  async act(action, refused) {
    phone.more = false;
    try {
      await ask('POST', '/api/act', { account: app.account().appID, user: app.user().openID, ...action });
    } catch (err) {
      app.toast(err.message);
      refused?.();
    }
    phone.draw();
  },

  // sendAgain sends an exchange once more, and then shows what comes of it.
  async sendAgain(exchange, body) {
    const begun = await ask('POST', '/api/again', { exchange, ...body });
    app.awaited = begun.exchange;
    app.showAwaited();
  },
  showAwaited() {
    if (!app.state.exchanges.has(app.awaited)) return;
    app.show('exchange/' + app.awaited);
    app.awaited = null;
  },
  again: (exchange, how) => app.sendAgain(exchange, { how }).catch((err) => app.toast(err.message)),

  async addUser(nickname) {
    const user = await ask('POST', '/api/users', { account: app.account().appID, nickname });
    take({ kind: 'user', user });
    app.select(user.openID);
  },
  freshName() {
    const names = language === 'zh' ? ['小红', '小刚', '小丽', '小华', '小军'] : ['Mei', 'Gang', 'Li', 'Hua', 'Jun'];
    return names.find((name) => !app.state.users.some((u) => u.nickname === name)) ?? '';
  },

  setRules: (rules, recognition) => change('PUT', '/api/rules', { rules, recognition }),
  setFaults: (faults) => change('PUT', '/api/faults', { faults }),
  verify: () => change('POST', '/api/verify', {}),
  token: async () => (await ask('POST', '/api/token', { account: app.account().appID })).token,

  // show opens an exchange on the wire; the address says which, so the browser's
  // own way back works.
  show(id) {
    location.hash = id === null ? '' : id; // exchange/12 or call/3
    if (id !== null) app.turn('wire');
  },
  shown: () => location.hash.slice(1) || null,

  // turn chooses what a narrow window shows.
  turn(tab) {
    app.tab = tab;
    document.body.dataset.tab = tab;
    drawTop();
  },

  async download(path, name) {
    const answer = await fetch(path);
    if (!answer.ok) return app.toast((await answer.json()).error);
    const link = el('a', { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },

  toast(text) {
    const place = document.getElementById('toast');
    const note = el('p', {}, text);
    place.append(note);
    setTimeout(() => note.remove(), 8000);
  },
};

const phone = new Phone(document.getElementById('phone'), app);
const wire = new Wire(document.getElementById('wire'), app);
const settings = new Settings(app);

// change asks for a change of the account's settings.
async function change(method, path, value) {
  try {
    const account = await ask(method, path, { ...value, account: app.account().appID });
    if (account) take({ kind: 'account', account });
  } catch (err) {
    app.toast(err.message);
  }
  settings.draw();
}

const keepSelected = () => sessionStorage.setItem('echostr.selected', JSON.stringify(app.selected));

// read notes that the user's bubbles have been seen.
function read() {
  const user = app.user();
  if (user) app.seen.set(user.openID, app.chat(user.openID).length);
}

// take takes in one change. Each names the thing as it is now, so hearing of it
// twice does no harm.
function take(c) {
  const { state } = app;
  switch (c.kind) {
    case 'account': {
      const at = state.accounts.findIndex((a) => a.appID === c.account.appID);
      state.accounts.splice(at < 0 ? state.accounts.length : at, at < 0 ? 0 : 1, c.account);
      drawTop();
      phone.draw();
      settings.draw();
      break;
    }
    case 'user': {
      const at = state.users.findIndex((u) => u.openID === c.user.openID);
      state.users.splice(at < 0 ? state.users.length : at, at < 0 ? 0 : 1, c.user);
      if (c.user.typing) setTimeout(() => { c.user.typing = false; phone.draw(); }, 15000); // as long as WeChat shows it
      phone.draw();
      break;
    }
    case 'bubble': {
      c.bubble.openID = c.user;
      const chat = state.chats.get(c.user) ?? new Map();
      state.chats.set(c.user, chat.set(c.bubble.id, c.bubble));
      if (c.user === app.user()?.openID) {
        read();
        phone.add(c.bubble);
      } else {
        drawTop();
        phone.draw();
      }
      if (c.bubble.from === 'account') update(app.answers(c.bubble));
      break;
    }
    case 'exchange': {
      state.exchanges.set(c.exchange.id, c.exchange);
      app.trace(c.exchange);
      update(c.exchange.id);
      update(c.exchange.root);
      forget(state.exchanges, 'exchange');
      phone.answered(c.exchange);
      app.showAwaited();
      drawTop();
      break;
    }
    case 'call':
      state.calls.set(c.call.id, c.call);
      if (app.isHere(c.call)) wire.updateCall(c.call);
      forget(state.calls, 'call');
      break;
  }
}

// update draws an exchange anew, if it is one of the account shown.
function update(id) {
  const x = app.state.exchanges.get(id);
  if (x && x.account === app.account()?.appID) wire.update(x);
}

// forget keeps as many as the simulator does.
function forget(things, name) {
  while (things.size > 500) {
    const oldest = things.keys().next().value;
    things.delete(oldest);
    wire.drop(`${name}/${oldest}`);
  }
}

function drawTop() {
  const top = document.getElementById('top');
  const account = app.account();
  const check = account?.check;
  const running = app.exchanges().filter((x) => !x.done).length;
  const state = !app.connected ? 'lost' : !check || check.problem === 'pending' ? 'unknown' : check.problem ? 'bad' : 'good';
  const unread = app.unread();
  const waits = (a) => app.state.users.some((u) => u.account === a.appID && unread.has(u.openID));
  const accounts = app.state.accounts.map((a) => [a, a !== account && waits(a)]);
  const looks = JSON.stringify([language, state, running, app.tab, account?.appID, accounts.map(([a, news]) => [a.name, a.kind, a.verified, news])]);
  if (top.dataset.looks === looks) return;
  top.dataset.looks = looks;
  const focused = document.activeElement?.id;
  const tab = (name) => el('button', { type: 'button', id: 'tab-' + name, 'aria-pressed': String(app.tab === name), onclick: () => app.turn(name) }, t('tab.' + name),
    name === 'wire' && running ? el('span.count', {}, String(running)) : null);
  replace(top,
    el('span.brand', {}, el('img', { src: '/assets/icon.svg', alt: '', width: 26, height: 26 }), el('b', {}, 'Echostr'), el('span.tagline', {}, t('subtitle'))),
    accounts.length > 1 ? el('nav.accounts', { 'aria-label': t('account') }, accounts.map(([a, news]) =>
      el('button', { type: 'button', id: 'account-' + a.appID, 'aria-pressed': String(a === account), onclick: () => app.selectAccount(a.appID) },
        el('b', {}, a.name), el('small', {}, t('account.short.' + a.kind) + ' · ' + t(a.verified ? 'verified' : 'unverified')),
        news ? el('span.unread', {}, el('span.reader-only', {}, t('users.unread'))) : null))) : null,
    el('nav.tabs', { 'aria-label': t('tabs') }, tab('phone'), tab('wire')),
    el('span.spacer'),
    el('button.connection.' + state, { type: 'button', id: 'connection', 'data-state': state, onclick: () => settings.open() }, el('span.dot'), el('span', {}, t('connection.' + state))),
    el('button.language', { type: 'button', id: 'language', lang: language === 'zh' ? 'en' : 'zh-CN', onclick: () => { setLanguage(language === 'zh' ? 'en' : 'zh'); drawAll(); } }, language === 'zh' ? 'English' : '中文'),
    iconButton('gear', t('settings'), () => settings.open(), { id: 'open-settings' }));
  if (focused) document.getElementById(focused)?.focus();
}

function drawAll() {
  drawTop();
  phone.draw();
  wire.draw();
}

// begin takes a snapshot and listens from there on.
async function begin() {
  try {
    const snapshot = await ask('GET', '/api/state');
    app.skew = snapshot.now - Date.now();
    app.state = {
      accounts: snapshot.accounts,
      users: snapshot.users,
      chats: new Map(Object.entries(snapshot.chats).map(([user, bubbles]) => [user, new Map(bubbles.map((b) => [b.id, { ...b, openID: user }]))])),
      exchanges: new Map(snapshot.exchanges.map((x) => [x.id, x])),
      calls: new Map(snapshot.calls.map((c) => [c.id, c])),
    };
    app.answering.clear();
    app.state.chats.forEach((chat) => chat.forEach(app.answers)); // the oldest first
    app.state.exchanges.forEach(app.trace);
    for (const u of app.state.users) if (!app.seen.has(u.openID)) app.seen.set(u.openID, app.chat(u.openID).length);
    read();
    phone.drawn = '';
    drawAll();
    wire.show(app.shown());
    listen(snapshot.change, {
      change: take,
      reload: begin,
      connected: (yes) => { app.connected = yes; drawTop(); },
    });
  } catch (err) {
    app.connected = false;
    drawTop();
    setTimeout(begin, 2000);
  }
}

addEventListener('hashchange', () => wire.show(app.shown()));
addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && app.shown() && !document.querySelector('dialog[open]')) app.show(null);
});
document.body.dataset.tab = app.tab;
begin();
