package conformance_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

// model is a callback server with the standard library alone that does all that
// is checked for. Each of its hooks is a place to break it.
type model struct {
	mode simulator.Mode

	request  func(http.ResponseWriter, *http.Request) bool                // answers a request before anything was looked at
	echo     func(w http.ResponseWriter, echostr string)                  // answers the check of the address
	trusts   func(q url.Values) bool                                      // takes this without a look at the signature
	seals    func(q url.Values) bool                                      // takes this without a look at msg_signature
	clear    func(q url.Values) bool                                      // takes this for a push in clear, whatever the mode
	reads    func(document string) string                                 // changes what was sent before it is parsed
	push     func(w http.ResponseWriter, document string, m message) bool // answers a push that was opened
	content  func(m message) string                                       // makes the reply; "" is none
	envelope func(w http.ResponseWriter, stage string) bool               // answers an envelope that does not open
	reply    func(m message, content string) string
	key      func(m message) string // what identifies a message
	outer    func(body string, m message)

	anyAge, anyFormat, anyQuery, anyAppID, anyName, anyMethod, noLimit, smallPad, sameRandom, forgetful bool
	bodyTime                                                                                            time.Duration

	mu    sync.Mutex
	turns map[string]*turn
	count int
	dead  bool
}

type message map[string]string

type turn struct {
	done    chan struct{}
	content string
}

func newModel(mode simulator.Mode) *model {
	return &model{mode: mode, turns: map[string]*turn{}, bodyTime: 3 * time.Second}
}

func signature(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// die makes the server useless from now on.
func (s *model) die() {
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
}

func (s *model) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return s.count
}

func (s *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	if dead {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	control := http.NewResponseController(w)
	if r.Method == "POST" && s.bodyTime > 0 {
		control.SetReadDeadline(time.Now().Add(s.bodyTime))
	}
	if s.request != nil && s.request(w, r) {
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !s.verified(q) || r.Header.Get("Content-Encoding") != "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch {
	case r.Method == "GET":
		s.answerGet(w, q.Get("echostr"))
		return
	case r.Method != "POST" && !s.anyMethod:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var body []byte
	if s.noLimit {
		body, err = io.ReadAll(r.Body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<10))
	}
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	control.SetReadDeadline(time.Time{})
	s.answerPush(w, r, q, body)
}

var tenDigits, letters = regexp.MustCompile(`^\d{10}$`), regexp.MustCompile(`^[0-9A-Za-z+/=_-]{1,512}$`)

func (s *model) verified(q url.Values) bool {
	if s.trusts != nil && s.trusts(q) {
		return true
	}
	for _, values := range q {
		if len(values) > 1 && !s.anyQuery {
			return false
		}
	}
	at, _ := strconv.ParseInt(q.Get("timestamp"), 10, 64)
	age := time.Since(time.Unix(at, 0)).Abs()
	return q.Get("signature") == signature(token, q.Get("timestamp"), q.Get("nonce")) &&
		(s.anyFormat || tenDigits.MatchString(q.Get("timestamp")) && q.Get("nonce") != "") &&
		(s.anyAge || s.anyFormat || age < 5*time.Minute)
}

func (s *model) answerGet(w http.ResponseWriter, echostr string) {
	if s.echo != nil {
		s.echo(w, echostr)
		return
	}
	if !letters.MatchString(echostr) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	io.WriteString(w, echostr)
}

func (s *model) answerPush(w http.ResponseWriter, r *http.Request, q url.Values, body []byte) {
	refuse := func() { w.WriteHeader(http.StatusForbidden) }
	outerTo, document := "", string(body)
	if s.mode != simulator.Plain && (s.clear == nil || !s.clear(q)) {
		outer, err := parse(document)
		encrypt := outer["Encrypt"]
		if err != nil || encrypt == "" || q.Get("encrypt_type") != "aes" ||
			(s.seals == nil || !s.seals(q)) && q.Get("msg_signature") != signature(token, q.Get("timestamp"), q.Get("nonce"), encrypt) {
			refuse()
			return
		}
		stage := ""
		if document, stage = s.open(encrypt); stage != "" {
			if s.envelope == nil || !s.envelope(w, stage) {
				refuse()
			}
			return
		}
		outerTo = outer["ToUserName"]
	}
	if s.reads != nil {
		document = s.reads(document)
	}
	m, err := parse(document)
	if s.outer != nil {
		s.outer(string(body), m)
	}
	if s.push != nil && s.push(w, document, m) {
		return
	}
	if err != nil || m["CreateTime"] == "" {
		io.WriteString(w, "success")
		return
	}
	if outerTo != "" && outerTo != m["ToUserName"] && !s.anyName {
		refuse()
		return
	}
	t := s.turn(m)
	select {
	case <-t.done:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	if t.content == "" {
		io.WriteString(w, "success")
		return
	}
	answer := ""
	if s.reply != nil {
		answer = s.reply(m, t.content)
	} else {
		answer = replyXML(m, html.EscapeString(t.content))
	}
	if s.mode != simulator.Plain {
		answer = s.seal(answer)
	}
	io.WriteString(w, answer)
}

// turn returns that of a message; it is begun once.
func (s *model) turn(m message) *turn {
	key := m["MsgId"]
	if key == "" {
		key = fmt.Sprint(m)
	}
	if s.key != nil {
		key = s.key(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turns[key]
	if t == nil || s.forgetful {
		t = &turn{done: make(chan struct{})}
		s.turns[key] = t
		go func() {
			defer close(t.done)
			if m["Content"] == "slow" {
				time.Sleep(8 * time.Second)
			}
			if s.content != nil {
				t.content = s.content(m)
			} else {
				t.content = answer(m)
			}
		}()
	}
	return t
}

func answer(m message) string {
	switch {
	case m["MsgType"] == "text":
		return m["Content"]
	case m["MsgType"] == "event" && m["Event"] == "click":
		return "clicked"
	case m["MsgType"] == "voice" && m["Recognition"] != "":
		return m["Recognition"]
	}
	return ""
}

// replyXML is a text reply; content is escaped.
func replyXML(m message, content string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType><Content>%s</Content></xml>",
		m["FromUserName"], m["ToUserName"], time.Now().Unix(), content)
}

// parse reads the children of the root.
func parse(document string) (message, error) {
	document = strings.TrimPrefix(strings.ToValidUTF8(document, "\ufffd"), "\ufeff")
	document = strings.Map(func(r rune) rune {
		if r < ' ' && !strings.ContainsRune("\t\r\n", r) {
			return '\ufffd'
		}
		return r
	}, document)
	dec := xml.NewDecoder(strings.NewReader(document))
	m := message{}
	depth, elements, name, value := 0, 0, "", ""
	for {
		token, err := dec.Token()
		if err == io.EOF {
			m["MsgType"], m["Event"] = strings.ToLower(m["MsgType"]), strings.ToLower(m["Event"])
			return m, nil
		}
		if err != nil {
			return m, err
		}
		switch token := token.(type) {
		case xml.Directive:
			return m, errors.New("a DTD")
		case xml.StartElement:
			if depth++; depth == 1 && token.Name.Local != "xml" || depth > 16 {
				return m, errors.New("not a push")
			}
			if elements++; elements > 2000 {
				return m, errors.New("too many elements")
			}
			if depth == 2 {
				name, value = token.Name.Local, ""
			}
		case xml.CharData:
			if depth == 2 {
				value += string(token)
			}
		case xml.EndElement:
			if depth == 2 {
				if name != "Content" {
					value = strings.TrimSpace(value)
				}
				m[name] = value
			}
			depth--
		}
	}
}

func block() (cipher.Block, []byte) {
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	if err != nil {
		panic(err)
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return b, key[:16]
}

// open says at which stage it has failed.
func (s *model) open(encrypt string) (document, stage string) {
	data, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil || len(data) == 0 || len(data)%16 != 0 {
		return "", "base64"
	}
	b, iv := block()
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(data, data)
	limit := 32
	if s.smallPad {
		limit = 16
	}
	pad := int(data[len(data)-1])
	if pad < 1 || pad > limit || pad > len(data)-20 || !bytes.Equal(data[len(data)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return "", "padding"
	}
	data = data[16 : len(data)-pad]
	n := uint64(binary.BigEndian.Uint32(data))
	if data = data[4:]; n > uint64(len(data)) {
		return "", "length"
	}
	if string(data[n:]) != appID && !s.anyAppID {
		return "", "appid"
	}
	return string(data[:n]), ""
}

func (s *model) seal(document string) string {
	plain := make([]byte, 16)
	if !s.sameRandom {
		rand.Read(plain)
	}
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(document)))
	plain = append(plain, document+appID...)
	pad := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	b, iv := block()
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(plain, plain)
	encrypt, now := base64.StdEncoding.EncodeToString(plain), strconv.FormatInt(time.Now().Unix(), 10)
	return fmt.Sprintf("<xml><Encrypt><![CDATA[%s]]></Encrypt><MsgSignature>%s</MsgSignature><TimeStamp>%s</TimeStamp><Nonce>n</Nonce></xml>",
		encrypt, signature(token, now, "n", encrypt), now)
}

// TestModel: what is broken in TestBroken is right as it stands, and every check
// can be passed.
func TestModel(t *testing.T) {
	t.Parallel()
	passed := map[string]bool{}
	for _, mode := range modes {
		bubble(t, func(t *testing.T) {
			report := check(t, &http.Server{Handler: newModel(mode)}, configIn(mode))
			wantNothingWrong(t, report, true)
			for _, r := range report.Results {
				passed[r.Check.ID()] = passed[r.Check.ID()] || r.Outcome == conformance.Pass
			}
		})
	}
	for _, c := range conformance.Checks() {
		if !passed[c.ID()] {
			t.Errorf("%s was passed in no mode", c.ID())
		}
	}
}
