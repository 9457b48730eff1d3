// Talking to the page's own API, and hearing of changes.

// ask makes a request and returns what came back. A refusal is an Error whose
// message is the server's sentence.
export async function ask(method, path, body) {
  const request = { method, headers: { Accept: 'application/json' } };
  if (body !== undefined) {
    request.headers['Content-Type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request);
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new Error(text.trim() || String(response.status));
  }
  if (!response.ok) throw new Error(value?.error ?? String(response.status));
  return value;
}

// listen calls hear for each change after the one with the id `after`. The
// browser itself connects again after a break and says which id it has seen
// last. After "reload", when too much was missed, the caller has to take a new
// snapshot and listen anew.
export function listen(after, { change, reload, connected }) {
  const source = new EventSource('/api/events?after=' + after);
  source.addEventListener('open', () => connected(true));
  source.addEventListener('error', () => connected(false));
  source.addEventListener('change', (e) => change(JSON.parse(e.data)));
  source.addEventListener('reload', () => {
    source.close();
    reload();
  });
  return source;
}
