package callback_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// This file is WeChat without a network: it signs and seals by its own means,
// so that a mistake of the server cannot cancel out.

func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func aesKey(encodingAESKey string) []byte {
	key, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil {
		panic(err)
	}
	return key
}

func seal(encodingAESKey, appID, msg string) string {
	key := aesKey(encodingAESKey)
	plain := make([]byte, 16)
	rand.Read(plain)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(msg)))
	plain = append(plain, msg+appID...)
	pad := 32 - len(plain)%32
	plain = append(plain, strings.Repeat(string(rune(pad)), pad)...)
	block, _ := aes.NewCipher(key)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

func unseal(t testing.TB, encodingAESKey, appID, text string) string {
	t.Helper()
	key := aesKey(encodingAESKey)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) < 32 || len(data)%16 != 0 {
		t.Fatalf("the Encrypt of the reply is no ciphertext: %v, %d bytes", err, len(data))
	}
	block, _ := aes.NewCipher(key)
	cipher.NewCBCDecrypter(block, key[:16]).CryptBlocks(data, data)
	data = data[:len(data)-int(data[len(data)-1])]
	n := binary.BigEndian.Uint32(data[16:])
	if got := string(data[20+n:]); got != appID {
		t.Fatalf("the reply is sealed for %q", got)
	}
	return string(data[20 : 20+n])
}

const (
	testUser     = "oUser00000000000000000000001"
	testOriginal = "gh_ec4057000001"
)

var lastID atomic.Int64

// text is a text message that was never sent before.
func text(content string) string { return textFrom(testUser, time.Now().Unix(), content) }

func textFrom(user string, createTime int64, content string) string {
	return fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>%d</MsgId></xml>",
		testOriginal, user, createTime, content, 7_000_000_000_000_000+lastID.Add(1))
}

func event(user, name, key string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType>event</MsgType><Event>%s</Event><EventKey>%s</EventKey></xml>", testOriginal, user, time.Now().Unix(), name, key)
}

// wire is a request as it goes over the wire: what somebody can capture.
type wire struct {
	account  string
	query    url.Values
	body     string
	document string // inside the body
}

// pack signs a document, and seals it if the mode wants that.
func pack(a callback.Account, document string) wire { return packAt(a, document, time.Now()) }

func packAt(a callback.Account, document string, at time.Time) wire {
	w := wire{account: a.Name, body: document, document: document}
	if a.Mode != callback.Plain {
		w.body = envelope(a, document, a.Mode == callback.Compatible)
	}
	w.query = signed(a, w.body, strconv.FormatInt(at.Unix(), 10), strconv.FormatInt(1_000_000_000+lastID.Add(1), 10))
	return w
}

func envelope(a callback.Account, document string, clear bool) string {
	element := "<Encrypt><![CDATA[" + seal(a.EncodingAESKey, a.AppID, document) + "]]></Encrypt>"
	if clear {
		return strings.TrimSuffix(document, "</xml>") + element + "</xml>"
	}
	return "<xml><ToUserName><![CDATA[" + testOriginal + "]]></ToUserName>" + element + "</xml>"
}

// signed is the query for a body, whatever it is.
func signed(a callback.Account, body, timestamp, nonce string) url.Values {
	q := url.Values{
		"signature": {sign(a.Token, timestamp, nonce)}, "timestamp": {timestamp}, "nonce": {nonce}, "openid": {testUser},
	}
	if a.Mode != callback.Plain {
		_, rest, _ := strings.Cut(body, "<Encrypt><![CDATA[")
		encrypt, _, _ := strings.Cut(rest, "]]></Encrypt>")
		q.Set("encrypt_type", "aes")
		q.Set("msg_signature", sign(a.Token, timestamp, nonce, encrypt))
	}
	return q
}

func (w wire) send(h http.Handler) got { return w.sendContext(context.Background(), h) }

// sendCut is send by WeChat, which hangs up after five seconds.
func (w wire) sendCut(h http.Handler) got {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	g := w.sendContext(ctx, h)
	if ctx.Err() != nil && g.flushed.IsZero() {
		return got{cut: true, took: g.took, aborted: g.aborted}
	}
	return g
}

func (w wire) sendContext(ctx context.Context, h http.Handler) got {
	r := httptest.NewRequestWithContext(ctx, "POST", "http://wechat.test/wx/"+w.account+"?"+w.query.Encode(), strings.NewReader(w.body))
	return do(h, r)
}

// got is what a request was answered.
type got struct {
	status  int
	body    string
	header  http.Header
	aborted bool // by http.ErrAbortHandler
	cut     bool // WeChat hung up first
	took    time.Duration
	flushed time.Time // when the answer went out, if it was flushed
}

func (g got) String() string {
	switch {
	case g.cut:
		return fmt.Sprintf("cut after %v", g.took)
	case g.aborted:
		return fmt.Sprintf("aborted after %v", g.took)
	}
	return fmt.Sprintf("%d %q after %v", g.status, g.body, g.took)
}

func (g got) is(status int, body string) bool {
	return !g.cut && !g.aborted && g.status == status && g.body == body
}

func do(h http.Handler, r *http.Request) (g got) {
	began := time.Now()
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	defer func() {
		if g.took = time.Since(began); !w.flushed.IsZero() {
			g.took = w.flushed.Sub(began) // what WeChat sees
		}
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			g.aborted = true
		}
	}()
	h.ServeHTTP(w, r)
	return got{status: w.Code, body: w.Body.String(), header: w.Header(), flushed: w.flushed}
}

// recorder knows when the answer was flushed.
type recorder struct {
	*httptest.ResponseRecorder
	flushed time.Time
}

func (w *recorder) FlushError() error {
	w.Flush()
	w.flushed = time.Now()
	return nil
}

// start starts a server without a network.
func start(t testing.TB, cfg callback.Config) *callback.Server {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s, err := callback.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
	return s
}

// one starts a server with one account and its own store.
func one(t testing.TB, a callback.Account) (*callback.Server, store.Store) {
	t.Helper()
	st := memory.New(memory.Config{})
	return start(t, callback.Config{Accounts: []callback.Account{a}, Store: st}), st
}

func rows(t testing.TB, s store.Store) []store.Turn {
	t.Helper()
	list, err := s.List(context.Background(), store.Filter{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// only is the only row there is.
func only(t testing.TB, s store.Store) store.Turn {
	t.Helper()
	list := rows(t, s)
	if len(list) != 1 {
		t.Fatalf("%d rows in the store, want one", len(list))
	}
	return list[0]
}

// counted is a handler that echoes text and counts its starts.
type counted struct{ n atomic.Int64 }

func (h *counted) Handle(_ context.Context, m echostr.Message) (echostr.Reply, error) {
	h.n.Add(1)
	if text, ok := m.(*echostr.TextMessage); ok {
		return echostr.Text("re: " + text.Content), nil
	}
	return nil, nil
}

// reply is a reply as WeChat reads it.
type reply struct {
	XMLName      xml.Name `xml:"xml"`
	ToUserName   string
	FromUserName string
	CreateTime   int64
	MsgType      string
	Content      string
}

// read reads the body of a 200 as WeChat does, opened if it is sealed. It
// fails unless the body is one of the three that are allowed: nothing,
// success, or a document, sealed where the mode wants it. (I8)
func read(t testing.TB, a callback.Account, body string) (document string) {
	t.Helper()
	if body == "" || body == "success" {
		return body
	}
	document = body
	if a.Mode != callback.Plain {
		var e struct {
			XMLName                                 xml.Name `xml:"xml"`
			Encrypt, MsgSignature, TimeStamp, Nonce string
		}
		if err := xml.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("the envelope does not parse: %v in %q", err, body)
		}
		if e.MsgSignature != sign(a.Token, e.TimeStamp, e.Nonce, e.Encrypt) {
			t.Fatalf("the MsgSignature of the reply is wrong: %q", body)
		}
		document = unseal(t, a.EncodingAESKey, a.AppID, e.Encrypt)
	}
	wellFormed(t, document)
	return document
}

// wellFormed returns the names of the elements of a document, in order.
func wellFormed(t testing.TB, document string) (names []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatalf("not well formed: %v in %q", err, document)
		}
		if e, ok := token.(xml.StartElement); ok {
			names = append(names, e.Name.Local)
		}
	}
}

func parseReply(t testing.TB, document string) (r reply) {
	t.Helper()
	if err := xml.Unmarshal([]byte(document), &r); err != nil {
		t.Fatalf("the reply does not parse: %v in %q", err, document)
	}
	return r
}

var modes = []callback.Mode{callback.Plain, callback.Compatible, callback.Safe}

func (w wire) request() *http.Request {
	return httptest.NewRequest("POST", "http://wechat.test/wx/"+w.account+"?"+w.query.Encode(), strings.NewReader(w.body))
}
