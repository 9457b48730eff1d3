package page_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/page"
)

var screenshots = flag.String("page.screenshots", "", "write pictures of each view into this folder, with the real server and WeChat's real times")

// TestScreenshots takes the pictures in docs/images:
//
//	go test ./simulator/page -run Screenshots -page.screenshots ../../docs/images
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no folder is given by -page.screenshots")
	}
	for _, language := range []string{"zh", "en"} {
		t.Run(language, func(t *testing.T) { takeScreenshots(t, language) })
	}
}

func takeScreenshots(t *testing.T, language string) {
	names, user, other := []string{"回声服务号", "回声订阅号"}, "小明", "小红"
	if language == "en" {
		names, user, other = []string{"Echostr", "Echostr Weekly"}, "Ming", "Hong"
	}
	platform := simulator.NewPlatform(simulator.PlatformConfig{})
	mux := http.NewServeMux()
	mux.Handle("/cgi-bin/", platform.API())
	mux.Handle("/", page.Handler(platform, page.Options{Context: t.Context()}))
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)

	cfg := config.Development()
	cfg.Listen, cfg.Admin, cfg.APIBaseURL = "127.0.0.1:0", "127.0.0.1:0", front.URL
	for i := range cfg.Accounts {
		cfg.Accounts[i].Mode = config.Safe
	}
	ctx, stop := context.WithCancel(t.Context())
	srv, err := server.New(cfg, &server.Options{Logger: slog.New(slog.DiscardHandler), TokenFile: filepath.Join(t.TempDir(), "token")})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var accounts []*simulator.Official
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		c := simulator.OfficialConfig{Name: names[i], AppSecret: a.AppSecret.Reveal(), Recognition: true, Verified: a.Verified, Account: simulator.Account{
			URL: "http://" + srv.Addr().String() + callback.PathPrefix + a.Name, Token: a.Token.Reveal(), Mode: simulator.Safe,
			AppID: a.AppID, EncodingAESKey: a.EncodingAESKey.Reveal(), OriginalID: a.OriginalID,
		}}
		if a.Verified {
			c.Kind = simulator.Service
		}
		o, err := platform.Add(c)
		if err != nil {
			t.Fatal(err)
		}
		accounts = append(accounts, o)
	}
	service, official := accounts[0], accounts[1]
	ming := official.AddFollower(user)
	hong := official.AddUser(other)
	service.AddFollower(user)

	p := openTab(t, front.URL, 1280, 800, "good")
	if language == "en" {
		p.click("#language")
	}
	shoot := func(view string, width, height int64) {
		t.Helper()
		p.shoot(view, language, width, height)
	}

	// The subscription account, and its answers on pushes.
	p.click("#account-" + official.AppID())
	shoot("begin", 1280, 800)
	p.say("你好")
	p.sees("你好")
	p.say("图文")
	p.wait("the article is there", `document.querySelector('.article')`)
	p.say("慢 8")
	time.Sleep(6500 * time.Millisecond)
	shoot("running", 1280, 800)
	p.sees("等了 8 秒")
	p.wait("it has ended", `document.querySelector('[data-exchange="3"]').dataset.mood === 'good'`)
	if n := eval[int](p, `document.querySelectorAll('[data-exchange="3"] .mark').length`); n != 2 {
		t.Fatalf("the machine is too busy for pictures: 慢 8 took %d pushes; take them again", n)
	}
	shoot("main", 1280, 800)
	shoot("phone", 390, 844)
	p.click("#plus")
	shoot("panel", 390, 844)
	p.click("#plus")
	p.click("#tab-wire")
	shoot("wire", 390, 844)
	p.click(`[data-exchange="3"] .head`)
	p.wait("the bytes are there", `document.querySelector('.http')`)
	shoot("details", 390, 844)
	shoot("details", 1280, 800)
	p.click(".detail-top .icon-button")

	// Answers that take longer than all pushes: by API on one account, by ticket on the other.
	p.do("resize", chromedp.EmulateViewport(390, 844))
	p.click("#tab-phone")
	p.do("resize", chromedp.EmulateViewport(1280, 800))
	p.click("#account-" + service.AppID())
	begin := time.Now()
	p.say("慢 40")
	p.wait("it has begun", `document.querySelector('.row')`)
	p.click("#account-" + official.AppID())
	p.say("慢 40")
	p.wait("there is a placeholder with a link", `document.querySelector('.bubble.account .link')`)
	time.Sleep(time.Until(begin.Add(42 * time.Second)))
	p.click(".bubble.account .link")
	p.sees("等了 40 秒")
	shoot("ticket", 1280, 800)
	shoot("ticket", 390, 844)
	p.say("长 1200")
	p.wait("there is a page", `document.querySelectorAll('.bubble.account').length === 6`)
	shoot("pages", 390, 844)
	p.do("resize", chromedp.EmulateViewport(1280, 800))
	p.click("#account-" + service.AppID())
	p.say("慢 8")
	p.sees("等了 8 秒")
	p.say("你好")
	p.sees("你好")
	shoot("late", 1280, 800)
	shoot("late", 390, 844)
	p.click("#account-" + official.AppID())
	p.click("#tab-wire")

	// A broken server.
	broken := httptest.NewServer(&testBot{})
	t.Cleanup(broken.Close)
	if err := official.Configure(simulator.OfficialConfig{Recognition: true, Account: simulator.Account{URL: broken.URL, Mode: simulator.Plain}}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"swapped", "json"} {
		if _, err := ming.Say(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	p.wait("it is judged", `document.querySelectorAll('.row[data-mood="bad"]').length === 2`)
	shoot("verdict", 1280, 800)
	shoot("verdict", 390, 844)
	p.click("#open-settings")
	shoot("settings", 1280, 800)
	shoot("settings", 390, 844)
	p.click("#settings header .icon-button")
	p.click("#tab-phone")
	for _, m := range []simulator.Message{
		simulator.Image("", ""), simulator.Location(23.106574, 113.324587, 16, "广州塔"), simulator.File("报价单.pdf", 20480),
		simulator.Link("Echostr", "微信公众号消息服务器", "https://github.com/echostr/echostr"),
	} {
		if _, err := ming.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ming.Speak(t.Context(), "今天天气怎么样"); err != nil {
		t.Fatal(err)
	}
	p.wait("all is there", `document.querySelectorAll('.bubble.user[data-kind="voice"]').length === 1`)
	shoot("chat", 390, 844)
	p.click(fmt.Sprintf(`[data-user=%q]`, hong.OpenID()))
	shoot("profile", 390, 844)
}

// TestScreenshotNodes takes the pictures of a server with two nodes, at the ports of the README.
func TestScreenshotNodes(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no folder is given by -page.screenshots")
	}
	dsn, nodes := pgtest.DSN(t), []string{"127.0.0.1:8080", "127.0.0.1:8082"}
	cfg := config.Development()
	cfg.Store, cfg.Admin, cfg.Accounts = config.Store(dsn), "127.0.0.1:0", cfg.Accounts[1:]
	for _, node := range nodes {
		cfg := *cfg
		cfg.Listen = node
		srv, err := server.New(&cfg, &server.Options{Logger: slog.New(slog.DiscardHandler), TokenFile: filepath.Join(t.TempDir(), "token")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- srv.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	a := &cfg.Accounts[0]
	for language, names := range map[string][2]string{"zh": {"回声订阅号", "小明"}, "en": {"Echostr Weekly", "Ming"}} {
		platform := simulator.NewPlatform(simulator.PlatformConfig{})
		official, err := platform.Add(simulator.OfficialConfig{Name: names[0], Account: simulator.Account{
			URL: "http://" + nodes[0] + callback.PathPrefix + a.Name, Nodes: nodes, Token: a.Token.Reveal(), Mode: simulator.Plain, OriginalID: a.OriginalID,
		}})
		if err != nil {
			t.Fatal(err)
		}
		official.AddFollower(names[1])
		front := httptest.NewServer(page.Handler(platform, page.Options{Context: t.Context()}))
		t.Cleanup(front.Close)
		p := openTab(t, front.URL, 1280, 800, "good")
		if language == "en" {
			p.click("#language")
		}
		p.say("慢 8")
		p.sees("等了 8 秒")
		p.say("你好")
		p.sees("你好")
		p.shoot("nodes", language, 1280, 480)
	}
}

func (p *tab) shoot(view, language string, width, height int64) {
	p.t.Helper()
	p.do("resize", chromedp.EmulateViewport(width, height))
	eval[bool](p, `(document.activeElement?.blur(), true)`)
	time.Sleep(400 * time.Millisecond) // it is drawn
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(*screenshots, fmt.Sprintf("page-%s-%s-%d.png", view, language, width))
	if err := os.WriteFile(file, fewColors(p.t, picture), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.fits(view)
}

// fewColors writes a picture with the 256 colors that it has most of, which makes the file
// of a screenshot less than half as long.
func fewColors(t *testing.T, data []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA) }
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	// Half of the palette are the colors that there is most of, the rest those that there is
	// most of among their like, so that a small red cross stays red.
	var palette color.Palette
	taken := map[color.RGBA]bool{}
	for i, c := range colors {
		like := color.RGBA{c.R >> 4, c.G >> 4, c.B >> 4, 0}
		if len(palette) < 256 && (i < 128 || !taken[like]) {
			palette = append(palette, c)
			taken[like] = true
		}
	}
	nearest := map[color.RGBA]uint8{}
	small := image.NewPaletted(b, palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := at(x, y)
			i, ok := nearest[c]
			if !ok {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			small.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
