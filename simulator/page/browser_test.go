package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is for what a busy machine needs; nothing waits that long when all is well.
const patience = 60 * time.Second

// One browser serves the whole test binary; each test has a tab of its own.
var browser = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("accept-lang", "zh-CN,zh"), chromedp.WindowSize(1280, 860),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's own sandbox refuses root
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(alloc)
	stopBrowser = func() { stop(); stopAlloc() }
	return ctx, chromedp.Do(ctx) // starts it; a context with a time limit would end it with the limit
})

var stopBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopBrowser()
	os.Exit(code)
}

// tab is a page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// needBrowser skips the test where there is no Chromium, unless it is required.
func needBrowser(t *testing.T) context.Context {
	t.Helper()
	found := slices.ContainsFunc([]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"}, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
	if !found {
		const missing = "Chromium is missing: apt-get install chromium fonts-noto-cjk"
		if slices.Contains(strings.Split(os.Getenv("ECHOSTR_TEST_REQUIRE"), ","), "chromium") {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	ctx, err := browser()
	if err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return ctx
}

// openTab opens the page in a window of the given size and waits until it shows
// the state of the account's connection: "good", or "bad" if the server refuses the check.
func openTab(t *testing.T, url string, width, height int64, state string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(needBrowser(t))
	if err := chromedp.Do(ctx); err != nil { // a tab lives as long as the context of the first call
		t.Fatalf("open a tab: %v", err)
	}
	p := &tab{t, ctx}
	listened := make(chan struct{})
	messages := chromedp.Console(ctx)
	go func() { // whatever the browser complains about is a mistake of the page
		defer close(listened)
		for m, err := range messages {
			broken := strings.Contains(m.Text, "net::ERR_") // a test has broken the connection
			if err == nil && !broken && (m.Type == chromedp.ConsoleException || m.Type == "error" || m.Type == "warning") {
				t.Errorf("the browser says: %s %s (%s:%d)", m.Type, m.Text, m.URL, m.Line+1)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-listened })
	p.do("open the page", chromedp.EmulateViewport(width, height), chromedp.Navigate(url))
	p.wait("the page is connected", fmt.Sprintf(`document.querySelector('#connection')?.dataset.state === %q`, state))
	return p
}

func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// eval computes an expression.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait asks again and again until the expression is true. The asking is done from
// here, since pages in the background do not get to draw.
func (p *tab) wait(what, expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !eval[bool](p, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not after %v: %s\nthe page reads:\n%s", what, patience, expression, eval[string](p, `document.body.innerText`))
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// click clicks what a CSS selector finds, and requires that it can be seen and hit.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.wait("there is "+selector, fmt.Sprintf(`document.querySelector(%s)?.getClientRects().length`, quote(selector)))
	result := eval[string](p, fmt.Sprintf(`(() => {
		const node = document.querySelector(%s);
		node.scrollIntoView({block: 'nearest'});
		const r = node.getBoundingClientRect();
		const hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (!hit || !(node.contains(hit) || hit.contains(node))) return 'hidden behind ' + (hit?.outerHTML ?? 'the edge').slice(0, 200);
		node.click();
		return '';
	})()`, quote(selector)))
	if result != "" {
		p.t.Fatalf("%s cannot be clicked: %s", selector, result)
	}
}

// say types a text into the phone and presses Enter.
func (p *tab) say(text string) {
	p.t.Helper()
	p.wait("there is a keyboard", `document.querySelector('#say, #bar-switch')`)
	if !eval[bool](p, `Boolean(document.querySelector('#say'))`) {
		p.click("#bar-switch")
	}
	p.wait("there is a place to write", `document.querySelector('#say')`)
	eval[bool](p, fmt.Sprintf(`(() => {
		const say = document.querySelector('#say');
		say.focus();
		say.value = %s;
		say.dispatchEvent(new InputEvent('input', {bubbles: true}));
		say.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));
		return true;
	})()`, quote(text)))
}

// set gives a field of a form its value.
func (p *tab) set(selector, value string) {
	p.t.Helper()
	p.wait("there is "+selector, fmt.Sprintf(`document.querySelector(%s)`, quote(selector)))
	eval[bool](p, fmt.Sprintf(`(() => {
		const node = document.querySelector(%s);
		node.value = %s;
		node.dispatchEvent(new Event('input', {bubbles: true}));
		node.dispatchEvent(new Event('change', {bubbles: true}));
		return true;
	})()`, quote(selector), quote(value)))
}

// sees waits for a bubble of the account with this text.
func (p *tab) sees(text string) {
	p.t.Helper()
	p.wait("the user sees "+text, fmt.Sprintf(`[...document.querySelectorAll('.bubble.account .text')].some((n) => n.textContent === %s)`, quote(text)))
}

// fits requires that nothing is wider than the window or cut off at its edges.
func (p *tab) fits(view string) {
	p.t.Helper()
	bad := eval[[]string](p, `(() => {
		const bad = [], width = innerWidth;
		if (document.scrollingElement.scrollWidth > width) bad.push('the page is ' + document.scrollingElement.scrollWidth + ' wide in a window of ' + width);
		for (const node of document.querySelectorAll('body *')) {
			if (node.closest('svg') && node.tagName !== 'svg') continue;
			if (node.closest('.people, #toast, .reader-only') || node.tagName === 'OPTION') continue;
			const r = node.getBoundingClientRect();
			if (!r.width || !r.height || getComputedStyle(node).visibility === 'hidden') continue;
			if (r.left < -1 || r.right > width + 1) bad.push(node.tagName + '.' + node.className + ' is at ' + Math.round(r.left) + ' to ' + Math.round(r.right));
			// Words may be shortened where the style says so, and nothing else may.
			const style = getComputedStyle(node);
			if (node.scrollWidth > node.clientWidth + 1 && style.overflowX !== 'visible' && style.textOverflow !== 'ellipsis' && style.display !== 'inline') {
				bad.push(node.tagName + '.' + node.className + ' has ' + node.scrollWidth + ' in ' + node.clientWidth);
			}
		}
		for (const text of document.querySelectorAll('.axis text')) { // SVG does not clip by itself
			if (!text.getClientRects().length) continue;
			const r = text.getBoundingClientRect(), axis = text.closest('.axis').getBoundingClientRect();
			if (r.width && (r.left < axis.left - 2 || r.right > axis.right + 2)) bad.push('the label ' + text.textContent + ' leaves its axis');
		}
		return bad;
	})()`)
	if len(bad) > 0 {
		p.t.Errorf("%s does not fit: %s", view, strings.Join(bad, "\n"))
	}
}

// quote writes a string for JavaScript.
func quote(text string) string {
	data, _ := json.Marshal(text) // a string can always be written
	return string(data)
}
