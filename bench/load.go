package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/wxcrypt"
)

const (
	appID      = "wxb11529c136998cb6"
	token      = "zBenchTokenOfThirtyTwoCharacters"
	key        = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	originalID = "gh_866835093fea"

	hello    = "你好，世界"
	waitText = "<wait>" // whoever reads it waits for the end of the context
)

// ids are those of messages: no two pushes are of the same.
var ids atomic.Int64

// load is what a server of one kind is sent.
type load struct {
	mode     callback.Mode // 0: nothing but "success" is expected
	accounts int           // more than one: they get pushes in turn
	cipher   *wxcrypt.Cipher
}

func newLoad(mode callback.Mode, accounts int) *load {
	cipher, err := wxcrypt.NewCipher(key, appID)
	if err != nil {
		panic(err) // the constants above do not fit
	}
	return &load{mode, max(accounts, 1), cipher}
}

// users are those who write.
const users = 50_000

func userOf(n int64) string {
	return "ogdotwSc_MmEEsJs9-ABZ1Q" + strconv.FormatInt(10_000+n*7919%users, 10)
}

// push writes the request of one push, with a MsgId and a nonce of its own, by one user after the other.
func (l *load) push(content string) []byte { return l.pushBy(ids.Add(1), content) }

func (l *load) pushBy(id int64, content string) []byte {
	openID := userOf(id)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	nonce := strconv.FormatInt(1e9+id, 10)
	doc := "<xml><ToUserName><![CDATA[" + originalID + "]]></ToUserName>\n<FromUserName><![CDATA[" + openID + "]]></FromUserName>\n<CreateTime>" + now +
		"</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[" + content + "]]></Content>\n<MsgId>" + strconv.FormatInt(6e18+id, 10) + "</MsgId>\n</xml>"
	query := "signature=" + wxcrypt.Signature(token, now, nonce) + "&timestamp=" + now + "&nonce=" + nonce + "&openid=" + openID
	if l.mode == callback.Safe {
		encrypt := string(l.cipher.Seal(nil, []byte(doc)))
		query += "&encrypt_type=aes&msg_signature=" + wxcrypt.MsgSignature(token, now, nonce, encrypt)
		doc = "<xml>\n    <ToUserName><![CDATA[" + originalID + "]]></ToUserName>\n    <Encrypt><![CDATA[" + encrypt + "]]></Encrypt>\n</xml>\n"
	}
	return fmt.Appendf(nil, "POST /wx/%s?%s HTTP/1.1\r\nHost: bench\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s",
		accountName(int(id)%l.accounts), query, len(doc), doc)
}

// check sends one push, and refuses a server that does not answer it as a bot should.
func (l *load) check(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	id := ids.Add(1)
	if _, err := c.Write(l.pushBy(id, hello)); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := l.judge(body, userOf(id)); err != nil || r.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %d with %q, so it is not measured: %w", r.StatusCode, body, err)
	}
	return nil
}

// judge holds the body of an answer to what it must say to a user.
func (l *load) judge(body []byte, user string) error {
	if l.mode == 0 {
		if string(body) != "success" {
			return errors.New("it is not success")
		}
		return nil
	}
	if l.mode == callback.Safe {
		var e struct{ Encrypt, MsgSignature, TimeStamp, Nonce string }
		if err := xml.Unmarshal(body, &e); err != nil {
			return err
		}
		if !wxcrypt.VerifyMsg(e.MsgSignature, token, e.TimeStamp, e.Nonce, e.Encrypt) {
			return errors.New("its signature is wrong")
		}
		var err error
		if body, err = l.cipher.Open(nil, e.Encrypt); err != nil {
			return err
		}
	}
	var m struct{ ToUserName, FromUserName, MsgType, Content string }
	if err := xml.Unmarshal(body, &m); err != nil {
		return err
	}
	if m.ToUserName != user || m.FromUserName != originalID || m.MsgType != "text" || m.Content != hello {
		return fmt.Errorf("it is not the echo: %+v", m)
	}
	return nil
}

// part is how many pushes are made at once. They have to be sent while their messages are new: one that is seconds old is taken for
// a repeated push, and to that a Pure route owes the start mark that it does not owe to a first one.
const part = 2048

// hit sends n pushes over so many connections to the servers in turn, and returns how long each took, sorted. It does nothing
// else meanwhile: they are made before, part by part.
func (l *load) hit(conns, n int, addrs ...string) (took []time.Duration, wall time.Duration, err error) {
	out, in := make([]net.Conn, conns), make([]*bufio.Reader, conns)
	for i := range conns {
		c, err := net.Dial("tcp", addrs[i%len(addrs)])
		if err != nil {
			return nil, 0, err
		}
		defer c.Close()
		out[i], in[i] = c, bufio.NewReader(c)
	}
	each := make([][]time.Duration, conns)
	errs := make([]error, conns)
	for rounds := n / conns; rounds > 0 && err == nil; {
		now := min(rounds, max(part/conns, 1))
		rounds -= now
		pushes := make([][]byte, now*conns)
		for i := range pushes {
			pushes[i] = l.push(hello)
		}
		var wg sync.WaitGroup
		began := time.Now()
		for i := range conns {
			wg.Go(func() {
				for j := i; j < len(pushes) && errs[i] == nil; j += conns {
					sent := time.Now()
					if _, errs[i] = out[i].Write(pushes[j]); errs[i] == nil {
						errs[i] = l.answer(in[i])
					}
					each[i] = append(each[i], time.Since(sent))
				}
			})
		}
		wg.Wait()
		wall += time.Since(began)
		err = errors.Join(errs...)
	}
	took = slices.Concat(each...)
	slices.Sort(took)
	return took, wall, err
}

// answer reads a response, with as little work as there can be: the same core may have to run the database.
func (l *load) answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("a push was answered by %q", line)
	}
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 || length > in.Size() {
		return errors.New("a response has no Content-Length, or is very long")
	}
	body, err := in.Peek(length)
	if err != nil {
		return err
	}
	want := "success"
	switch l.mode {
	case callback.Plain:
		want = hello
	case callback.Safe:
		want = "MsgSignature"
	}
	if !bytes.Contains(body, []byte(want)) {
		return fmt.Errorf("a push was answered with %q, want %q in it", body, want)
	}
	_, err = in.Discard(length)
	return err
}

// wait sends n pushes whose handlers wait, and returns what closes them.
func (l *load) wait(addr string, n int) (stop func(), err error) {
	var open []net.Conn
	stop = func() {
		for _, c := range open {
			c.Close()
		}
	}
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return stop, err
		}
		open = append(open, c)
		if _, err := c.Write(l.push(waitText)); err != nil {
			return stop, err
		}
	}
	time.Sleep(200 * time.Millisecond) // the last ones get where they wait
	return stop, nil
}

// runs are what the rounds have measured of a server.
type runs struct{ cpu, p50, p99, rate []float64 } // µs, ms, ms, per second

// round hits a server and adds what that took.
func (r *runs) round(l *load, conns, n int, servers ...*process) error {
	var addrs []string
	used := func() (sum time.Duration, err error) {
		for _, s := range servers {
			t, err := s.cpu()
			if err != nil {
				return 0, err
			}
			sum += t
		}
		return sum, nil
	}
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	before, err := used()
	if err != nil {
		return err
	}
	took, wall, err := l.hit(conns, n, addrs...)
	if err != nil {
		return err
	}
	after, err := used()
	if err != nil {
		return err
	}
	r.cpu = append(r.cpu, micros(after-before, len(took)))
	r.p50 = append(r.p50, took[len(took)/2].Seconds()*1000)
	r.p99 = append(r.p99, took[len(took)*99/100].Seconds()*1000)
	r.rate = append(r.rate, float64(len(took))/wall.Seconds())
	return nil
}

// micros is how many microseconds of a time each of n takes.
func micros(t time.Duration, n int) float64 { return float64(t.Nanoseconds()) / 1000 / float64(n) }

func accountName(i int) string { return "a" + strconv.Itoa(i) }
