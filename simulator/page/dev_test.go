package page_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
)

// startDev builds the real program, starts `echostr dev` and returns the address of its page.
func startDev(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "echostr")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, "../../cmd/echostr")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	ctx, cancel := context.WithCancel(context.Background())
	dev := exec.CommandContext(ctx, program, "dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0", "--log-level=info")
	dev.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir, "HOME="+dir)
	var log strings.Builder
	dev.Stderr = &log
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = dev.Wait() // it was killed
		if t.Failed() {
			t.Logf("echostr dev logged:\n%s", &log)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if found := regexp.MustCompile(`^\s*(http://\S+) +← `).FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // so that it can go on printing
				}
			}()
			return found[1]
		}
	}
	t.Fatal("echostr dev does not say where its page is")
	return ""
}

// TestDev is what everybody tries first, in the real program and real time: how an answer
// that takes longer than five seconds reaches the user, on both kinds of accounts. All is said
// at the beginning, so that it takes no longer than the slowest answer.
func TestDev(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: answers after 40 real seconds")
	}
	needBrowser(t)
	url := startDev(t)
	// However slow the machine is, no push of the service account is cut, which would need no API.
	rules, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/api/rules", strings.NewReader(fmt.Sprintf(`{"account":%q,"rules":{"timeout":20000,"pushes":3}}`, config.DevelopmentAppID)))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(rules); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the rules cannot be set: %v", err)
	}
	// say says something to an account, as a user whom nobody else plays, in a tab of its own.
	say := func(account, user, text string) *tab {
		t.Helper()
		p := openTab(t, url, 1280, 860, "good")
		p.click("#account-" + account)
		p.click("#add-user")
		p.set(`dialog [name="nickname"]`, user)
		p.click(`dialog button[type="submit"]`)
		p.click("#follow")
		p.sees("感谢您的关注!")
		p.say(text)
		return p
	}
	slow := say(config.DevelopmentSubAppID, "甲", "慢 40")
	begin := time.Now()
	slowAPI := say(config.DevelopmentAppID, "乙", "慢 40")
	quick := say(config.DevelopmentSubAppID, "丙", "慢 8")
	quickAPI := say(config.DevelopmentAppID, "丁", "慢 8")
	long := say(config.DevelopmentSubAppID, "戊", "长 3000")

	text := `[...document.querySelectorAll('.bubble.account .text')].map((n) => n.textContent.match(/[一二三四五六七八九十]{10,}/)?.[0] ?? '').join('')`
	for have, page := 0, 1; have < 3000; page++ {
		long.wait("there is one more page", fmt.Sprintf(`%s.length > %d`, text, have))
		have = eval[int](long, text+`.length`)
		switch {
		case have >= 3000:
		case page == 1:
			long.say("继续")
		default:
			long.tap(eval[string](long, `[...document.querySelectorAll('.bubble.account .link')].at(-1).textContent`))
		}
	}
	if got := eval[string](long, text); got != strings.Repeat("一二三四五六七八九十", 300) {
		t.Errorf("长 3000: the pages together have %d characters, or others", len([]rune(got)))
	}
	if eval[int](long, `document.querySelectorAll('circle.tap').length`) == 0 {
		t.Error("长 3000: no tap is drawn")
	}
	long.fits("the pages of a long text")

	// pushes are drawn in the row of a message.
	pushes := func(p *tab, user, text string) string {
		t.Helper()
		row := fmt.Sprintf(`[...document.querySelectorAll('.row[data-exchange]')].find((n) => n.querySelector('.by').textContent === %s && n.querySelector('.words').textContent === %s)`, quote(user), quote(text))
		p.wait(text+" has ended", row+`.dataset.mood === 'good'`)
		return strings.Join(eval[[]string](p, `[...`+row+`.querySelectorAll('.mark, .diamond, circle.tap')].map((m) => m.dataset.outcome ?? m.classList[m.classList.length - 1])`), " ")
	}
	caption := func(p *tab) string {
		t.Helper()
		return eval[string](p, `[...document.querySelectorAll('.bubble.account .caption')].at(-1).textContent`)
	}
	quick.sees("等了 8 秒")
	// A slow machine may need one push more, and never one less.
	if got := pushes(quick, "丙", "慢 8"); got != "cut answered" && got != "cut cut answered" || !strings.Contains(caption(quick), "次推送时回复") {
		t.Errorf("慢 8 without the API: the pushes are %s; %s", got, caption(quick))
	}
	quickAPI.sees("等了 8 秒")
	if got := pushes(quickAPI, "丁", "慢 8"); got != "answered diamond" || !strings.HasPrefix(caption(quickAPI), "客服消息 · ") {
		t.Errorf("慢 8 with the API: the pushes are %s; %s", got, caption(quickAPI))
	}
	slow.wait("there is a placeholder with a link", `document.querySelector('.bubble.account .link')`)
	slowAPI.sees("等了 40 秒")
	if got := pushes(slowAPI, "乙", "慢 40"); got != "answered diamond" || !strings.HasPrefix(caption(slowAPI), "客服消息 · ") {
		t.Errorf("慢 40 with the API: the pushes are %s; %s", got, caption(slowAPI))
	}
	time.Sleep(time.Until(begin.Add(41 * time.Second))) // nobody is told when the answer is there
	slow.click(".bubble.account .link")
	slow.sees("等了 40 秒")
	if got := pushes(slow, "甲", "慢 40"); got != "cut cut answered tap" {
		t.Errorf("慢 40 without the API: the pushes are %s", got)
	}
	slow.fits("a ticket")
}
