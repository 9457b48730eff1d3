package callback_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/wxcrypt"
)

// sink is a ResponseWriter that costs little.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header               { return s.header }
func (s *sink) WriteHeader(int)                   {}
func (s *sink) Write(b []byte) (int, error)       { s.n += len(b); return len(b), nil }
func (s *sink) WriteString(b string) (int, error) { s.n += len(b); return len(b), nil }
func (s *sink) SetReadDeadline(time.Time) error   { return nil }

// BenchmarkPush is one message from the first check to the answer, without
// net/http around it. Nobody of 50,000 users floods. `make bench` has the figure that counts, beside a bare server.
func BenchmarkPush(b *testing.B) {
	for _, mode := range []callback.Mode{callback.Plain, callback.Safe} {
		for _, pure := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v/pure=%v", mode, pure), func(b *testing.B) {
				r := echostr.NewRouter()
				route := echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
					return echostr.Text(m.Content), nil
				})
				if pure {
					route.Pure()
				}
				s, err := callback.New(callback.Config{Accounts: []callback.Account{account(mode, r)}, Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Shutdown(context.Background())
				cipher, err := wxcrypt.NewCipher(testKey, testAppID)
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, "POST", "http://wechat.test/wx/demo", nil)
				if err != nil {
					b.Fatal(err)
				}
				var body bytes.Buffer
				req.Body = io.NopCloser(&body)
				out := &sink{header: make(http.Header)}
				b.ReportAllocs()
				for id := 0; b.Loop(); id++ {
					b.StopTimer()
					now, nonce := strconv.FormatInt(time.Now().Unix(), 10), strconv.Itoa(1e9+id)
					doc := fmt.Sprintf("<xml><ToUserName><![CDATA[gh_866835093fea]]></ToUserName>\n<FromUserName><![CDATA[ogdotwSc_MmEEsJs9-ABZ1Q%05d]]></FromUserName>\n<CreateTime>%s</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[你好]]></Content>\n<MsgId>%d</MsgId>\n</xml>", id%50_000, now, 6e18+id)
					query := "signature=" + wxcrypt.Signature(testToken, now, nonce) + "&timestamp=" + now + "&nonce=" + nonce
					if mode == callback.Safe {
						encrypt := string(cipher.Seal(nil, []byte(doc)))
						query += "&encrypt_type=aes&msg_signature=" + wxcrypt.MsgSignature(testToken, now, nonce, encrypt)
						doc = "<xml><ToUserName><![CDATA[gh_866835093fea]]></ToUserName><Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"
					}
					body.Reset()
					body.WriteString(doc)
					req.ContentLength = int64(len(doc))
					req.URL.RawQuery = query
					out.n = 0
					b.StartTimer()
					s.ServeHTTP(out, req)
					if out.n < 20 {
						b.Fatalf("answered %d bytes; refused: %v", out.n, s.Refusals())
					}
				}
			})
		}
	}
}

// BenchmarkPushBesideTickets is a message of a user for whom fifty answers wait that do not fit before the next one.
func BenchmarkPushBesideTickets(b *testing.B) {
	for _, tickets := range []int{0, 50} {
		b.Run(fmt.Sprintf("tickets=%d", tickets), func(b *testing.B) {
			st, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "a.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
				return echostr.Text(strings.Repeat("中", 300)), nil
			}))
			node, err := st.Join(b.Context(), "before")
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			for i := range tickets {
				ops := []store.Op{{Turn: store.Turn{
					Key: store.Key{byte(i), 1}, Account: a.Name, OpenID: testUser, OriginalID: testOriginal, MsgType: "text", Body: text("late"),
					State: store.Answered, Owner: node, Attempt: 1, ReceivedAt: now, FinishedAt: now, Delivery: store.Ticket, Due: now.Add(24 * time.Hour),
					Code: "2345", Placeholder: "x",
					Reply: string(echostr.AppendReply(nil, echostr.Text(strings.Repeat("满", 680)), echostr.Address{ToUserName: testUser, FromUserName: testOriginal, CreateTime: now.Unix()})),
				}}}
				if err := st.Claim(b.Context(), ops); err != nil || ops[0].Err != nil {
					b.Fatal(err, ops[0].Err)
				}
			}
			s := start(b, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxUserMessages: -1})
			time.Sleep(100 * time.Millisecond) // it reads what is due
			b.ReportAllocs()
			for b.Loop() {
				if g := pack(a, text("now")).send(s); g.status != 200 || g.body == "success" {
					b.Fatal(g)
				}
			}
		})
	}
}
