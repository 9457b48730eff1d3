// Two languages. strings.json has every sentence in both, side by side:
// [Chinese, English]. A test holds the keys used here to the file.

const strings = await (await fetch('/assets/strings.json')).json();

export let language = localStorage.getItem('echostr.language') ?? (document.documentElement.lang.startsWith('zh') ? 'zh' : 'en');

export function setLanguage(to) {
  language = to;
  localStorage.setItem('echostr.language', to);
  apply();
}

function apply() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  document.title = t('title');
}

const pick = (pair) => pair[language === 'zh' ? 0 : 1];

// t is a text in the language of the page, with {name} replaced from values.
export function t(key, values = {}) {
  const pair = strings.texts[key];
  return pair ? fill(pick(pair), values) : key;
}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// has tells whether there is a text, for names that come from outside.
export const has = (key) => key in strings.texts;

// problem says what is wrong and what to do, for a short name of package simulator.
// What to do about the problem "status" depends on the status; what some others mean
// in the check of the address (check: true) is not what they mean in a push.
export function problem(name, { status = 0, check = false } = {}) {
  const names = name === 'status' ? [name + ofStatus(status), name] : [name];
  const key = names.flatMap((n) => (check ? ['verify-' + n, n] : [n])).find((n) => n in strings.problems);
  const entry = key && strings.problems[key];
  return entry ? { what: fill(pick(entry.what), { status }), todo: fill(pick(entry.todo), { status }) } : null;
}

// ofStatus groups the statuses by what to do about them.
function ofStatus(status) {
  if (status === 401 || status === 403) return '-refused';
  if (status === 404 || status === 410) return '-path';
  if (status === 405 || status === 501) return '-method';
  if (status >= 502 && status <= 504) return '-gateway';
  if (status >= 500) return '-error';
  if (status >= 400) return '-request';
  if (status >= 300) return '-redirect';
  return '';
}

// errcode is what a code of WeChat's API means; empty if the page does not know.
export function errcode(code) {
  const pair = strings.errcodes[code];
  return pair ? pick(pair) : '';
}

apply();
