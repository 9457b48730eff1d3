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
  if (!pair) return key;
  return pick(pair).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// has tells whether there is a text, for names that come from outside.
export const has = (key) => key in strings.texts;

// problem says what is wrong and what to do, for a short name of package simulator.
export function problem(name) {
  const entry = strings.problems[name];
  return entry ? { what: pick(entry.what), todo: pick(entry.todo) } : null;
}

apply();
