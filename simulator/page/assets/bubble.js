// One bubble of the chat, as WeChat draws it. Everything in it is somebody's
// text, and the addresses in it are somebody's, too: nothing is loaded from
// them, and a link opens only when it is tapped.
import { el, icon, avatar, duration } from './dom.js';
import { t } from './i18n.js';

// bubble draws b. chat says who talks (account, user) and what a tap does:
// follow(span) for a link, choose(entry) for an entry of a menu message, wire(id)
// to show the exchange; answers(b) says which exchange a bubble answers, on which push, and when.
export function bubble(b, chat) {
  if (b.from === 'notice') {
    const kind = b.kind === 'fault' ? 'fault' : 'system';
    return el('li.line.' + kind, { 'data-bubble': b.id, 'data-kind': b.kind },
      el('span', {}, kind === 'fault' ? b.text : t('line.' + b.kind, { text: b.text, key: b.key ?? '' })),
      kind === 'fault' ? caption(t('bubble.why'), b.exchange, chat) : null);
  }
  const mine = b.from === 'user';
  const name = mine ? chat.user : chat.account;
  const body = (drawings[b.kind] ?? unknown)(b, chat);
  body.classList.add('body');
  return el('li.bubble.' + b.from, { 'data-bubble': b.id, 'data-kind': b.kind, 'data-from': b.from },
    avatar(name, mine ? 'user' : 'account'),
    el('div.said', {},
      el('span.reader-only', {}, t('bubble.from', { name })),
      body,
      mine ? null : caption(way(b, chat), chat.answers(b)?.exchange, chat)));
}

// reads is the text of a bubble as the user reads it, with links drawn.
export const reads = (b) => b.spans?.map((s) => s.text).join('') ?? b.text ?? '';

// caption is a line below a bubble, which leads to its exchange if there is one.
function caption(text, exchange, chat) {
  if (!text) return null;
  if (!exchange) return el('span.caption', {}, text);
  return el('button.caption', { type: 'button', onclick: () => chat.wire(exchange), title: t('bubble.wire') }, text);
}

// way says how an answer came, and how long that took. Empty if nobody was asked for it.
function way(b, chat) {
  const at = chat.answers(b);
  if (b.way === 'api') return [t('way.api'), b.agent, at && duration(at.after)].filter(Boolean).join(' · ');
  if (!b.exchange) return '';
  if (!at) return t('bubble.wire');
  return at.push > 1 ? t('way.push', { n: at.push, time: duration(at.after) }) : t('way.first', { time: duration(at.after) });
}

// spans is a text with its links. Line ends are kept by the style sheet.
function spans(list, chat) {
  return list.map((span) => (span.kind === 'text' ? span.text : link(span.text, () => chat.follow(span), { title: span.url, 'data-span': span.kind })));
}

// link is no button, since lines break inside of it as in the text around, and has no address
// that the browser itself could go to.
function link(text, follow, attributes) {
  const onkeydown = (e) => { if (e.key === 'Enter') follow(); };
  return el('a.link', { role: 'link', tabindex: '0', onclick: follow, onkeydown, ...attributes }, text);
}

const drawings = {
  text: (b, chat) => el('div.text', {}, spans(b.spans ?? [{ kind: 'text', text: b.text ?? '' }], chat)),

  voice: (b) => {
    const seconds = b.recognition ? Math.min(60, Math.max(1, Math.round([...b.recognition].length / 4))) : 2; // as fast as people talk
    return el('div.voice', {},
      el('div.text.sound', { style: { '--seconds': String(seconds) } }, icon('wave'), el('span', {}, seconds + '″')),
      b.recognition ? el('div.recognition', {}, b.recognition) : null);
  },

  image: (b, chat) => el('div.image', {}, picture(b.media && b.media_id, b.pic_url || b.media_id, t('message.image'), chat)),

  video: (b, chat) => el('div.video', {},
    el('div.screen', {}, b.thumb ? picture(b.thumb_media_id, '', t('message.video'), chat) : null, el('span.play', {}, icon('play'))),
    b.title ? el('div.title', {}, b.title) : null,
    b.description ? el('div.description', {}, b.description) : null),

  music: (b, chat) => el('button.card.music', { type: 'button', title: b.music_url, onclick: () => chat.follow({ kind: 'link', url: b.music_url || b.hq_music_url }) },
    el('span.words', {}, el('span.title', {}, b.title || t('message.music')), el('span.description', {}, b.description)),
    el('span.disc', {}, icon('music'))),

  news: (b, chat) => el('div.news', {}, b.articles.map((a, i) =>
    el(i === 0 ? 'button.article.first' : 'button.article', { type: 'button', title: a.URL, onclick: () => chat.follow({ kind: 'link', url: a.URL }) },
      i === 0 ? cover(a) : null,
      el('span.words', {}, el('span.title', {}, a.Title), i === 0 && b.articles.length === 1 ? el('span.description', {}, a.Description) : null),
      i > 0 ? cover(a) : null))),

  location: (b) => el('div.card.place', {},
    el('span.words', {}, el('span.title', {}, b.label || t('message.location')),
      el('span.description', {}, (b.latitude ?? 0).toFixed(6) + ', ' + (b.longitude ?? 0).toFixed(6))),
    el('span.map', {}, icon('location'))),

  link: (b, chat) => el('button.card.page', { type: 'button', title: b.url, onclick: () => chat.follow({ kind: 'link', url: b.url }) },
    el('span.title', {}, b.title),
    el('span.pair', {}, el('span.description', {}, b.description || b.url), el('span.thumb', {}, icon('link')))),

  file: (b) => el('div.card.file', {},
    el('span.words', {}, el('span.title', {}, b.title), el('span.description', {}, size(b.size ?? 0))),
    el('span.sheet', {}, icon('file'))),

  miniprogrampage: (b) => el('div.card.page', {},
    el('span.description', {}, b.app_id || t('message.miniprogrampage')),
    el('span.title', {}, b.title || b.page_path),
    el('span.screen', {}, icon('link')),
    el('span.description', {}, t('message.miniprogrampage'))),

  msgmenu: (b, chat) => el('div.text.msgmenu', {},
    b.text ? el('p', {}, spans(b.spans ?? [{ kind: 'text', text: b.text }], chat)) : null,
    el('ul', {}, (b.entries ?? []).map((e) => el('li', {}, link(e.content, () => chat.choose(e))))),
    b.tail ? el('p', {}, b.tail) : null),
};

// unknown is for kinds that come later: what they are called, and their text.
function unknown(b) {
  return el('div.text', {}, t('bubble.unknown', { kind: b.kind }), ' ', b.text ?? b.article_id ?? b.card_id ?? b.media_id ?? '');
}

// picture shows a medium that the simulator has itself. Of one that is elsewhere
// it shows the address only.
function picture(id, address, alt, chat) {
  if (id) return el('img', { src: `/api/media/${encodeURIComponent(chat.appID)}/${encodeURIComponent(id)}`, alt });
  return el('span.elsewhere', {}, icon('picture'), el('span', {}, address || t('picture.none')));
}

// cover is the picture of an article. Its address is nearly always elsewhere, so
// the picture is a colour made of the address.
function cover(a) {
  return el('span.cover', { title: a.PicURL ? t('picture.elsewhere', { url: a.PicURL }) : null }, icon('picture'),
    a.PicURL ? el('span.address', {}, a.PicURL) : null);
}

function size(bytes) {
  if (bytes < 1024) return bytes + ' B';
  if (bytes < 1 << 20) return (bytes / 1024).toFixed(1) + ' KB';
  return (bytes / (1 << 20)).toFixed(1) + ' MB';
}
