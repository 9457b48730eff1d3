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
  selected: { account: null, user: sessionStorage.getItem('echostr.user') },
  seen: new Map(), // how many bubbles of each user were seen
  tab: 'phone',
  awaited: null, // the exchange that is to be shown when it is heard of

  now: () => Date.now() + app.skew,
  account: () => app.state.accounts.find((a) => a.appID === app.selected.account) ?? app.state.accounts[0],
  user: () => {
    const mine = app.state.users.filter((u) => u.account === app.account()?.appID);
    return mine.find((u) => u.openID === app.selected.user) ?? mine[0];
  },
  chat: (openID = app.user()?.openID) => [...(app.state.chats.get(openID)?.values() ?? [])],
  exchanges: () => [...app.state.exchanges.values()].filter((x) => x.account === app.account()?.appID),

  calls: () => [...app.state.calls.values()].filter((c) => !c.account || c.account === app.account()?.appID),

  // deliveries are the customer-service messages to the user of an exchange,
  // until the next one begins.
  deliveries(x) {
    const next = app.exchanges().find((other) => other.user === x.user && other.id > x.id);
    return app.chat(x.user).filter((b) => b.way === 'api' && b.at >= x.at && (!next || b.at < next.at));
  },

  // answered says on which push the answer that a bubble shows came.
  answered(b) {
    const x = app.state.exchanges.get(b.exchange);
    const last = x?.pushes[x.pushes.length - 1];
    return last && { push: last.number, after: last.start + last.duration - x.at };
  },

  // unread are the users to whom something was said while another was shown.
  unread: () => new Set(app.state.users.filter((u) => u !== app.user() && app.chat(u.openID).length > (app.seen.get(u.openID) ?? 0)).map((u) => u.openID)),

  select(openID) {
    app.selected.user = openID;
    sessionStorage.setItem('echostr.user', openID);
    read();
    phone.draw();
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
      const chat = state.chats.get(c.user) ?? new Map();
      state.chats.set(c.user, chat.set(c.bubble.id, c.bubble));
      if (c.user === app.user()?.openID) {
        read();
        phone.add(c.bubble);
      } else {
        phone.draw();
      }
      if (c.bubble.way === 'api') {
        const x = app.exchanges().findLast((other) => other.user === c.user && other.at <= c.bubble.at);
        if (x) wire.update(x);
      }
      break;
    }
    case 'exchange': {
      state.exchanges.set(c.exchange.id, c.exchange);
      if (c.exchange.account === app.account()?.appID) wire.update(c.exchange);
      forget(state.exchanges, 'exchange');
      phone.answered(c.exchange);
      app.showAwaited();
      drawTop();
      break;
    }
    case 'call':
      state.calls.set(c.call.id, c.call);
      wire.updateCall(c.call);
      forget(state.calls, 'call');
      break;
  }
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
  const looks = JSON.stringify([language, state, running, app.tab, account?.appID, app.state.accounts.length]);
  if (top.dataset.looks === looks) return;
  top.dataset.looks = looks;
  const focused = document.activeElement?.id;
  const tab = (name) => el('button', { type: 'button', id: 'tab-' + name, 'aria-pressed': String(app.tab === name), onclick: () => app.turn(name) }, t('tab.' + name),
    name === 'wire' && running ? el('span.count', {}, String(running)) : null);
  replace(top,
    el('span.brand', {}, el('img', { src: '/assets/icon.svg', alt: '', width: 26, height: 26 }), el('b', {}, 'Echostr'), el('span.tagline', {}, t('subtitle'))),
    app.state.accounts.length > 1 ? el('select', { 'aria-label': t('account'), onchange: (e) => { app.selected.account = e.target.value; drawAll(); } },
      app.state.accounts.map((a) => el('option', { value: a.appID, selected: a === account }, a.name))) : null,
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
      chats: new Map(Object.entries(snapshot.chats).map(([user, bubbles]) => [user, new Map(bubbles.map((b) => [b.id, b]))])),
      exchanges: new Map(snapshot.exchanges.map((x) => [x.id, x])),
      calls: new Map(snapshot.calls.map((c) => [c.id, c])),
    };
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
