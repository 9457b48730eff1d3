package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/echostr/echostr/simulator"
)

// maxUnderWay is how many actions may be under way at once.
const maxUnderWay = 100

// action is what a user does. Which fields count depends on Action.
type action struct {
	Account string `json:"account"`
	User    string `json:"user"`
	Action  string `json:"action"`

	Text        string  `json:"text"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	URL         string  `json:"url"` // of a link that is sent, or is tapped
	Label       string  `json:"label"`
	Latitude    float64 `json:"latitude"`
	Longitude   float64 `json:"longitude"`
	Size        int64   `json:"size"`   // bytes
	Data        []byte  `json:"data"`   // a picture; without one it is invented
	Code        string  `json:"code"`   // ticket or scene of a QR code
	Entry       string  `json:"entry"`  // of a menu message
	Button      string  `json:"button"` // by its position, as in "#2.1"
}

func (h *handler) act(w http.ResponseWriter, r *http.Request) {
	var a action
	if !read(w, r, &a) {
		return
	}
	o := h.official(w, a.Account)
	if o == nil {
		return
	}
	u := o.User(a.User)
	if u == nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("the account has no user %q; reload the page", a.User))
		return
	}
	h.start(w, func(ctx context.Context) error { return a.do(ctx, o, u) })
}

// started is the answer to an action that is under way.
type started struct {
	OK       bool  `json:"ok"`
	Exchange int64 `json:"exchange,omitempty"` // the first one that it has begun, if it pushes anything
}

// start begins an action and answers as soon as it is under way: when an exchange has
// begun, nothing can be refused any more.
func (h *handler) start(w http.ResponseWriter, do func(context.Context) error) {
	select {
	case h.slots <- struct{}{}:
	default:
		refuse(w, http.StatusTooManyRequests, fmt.Errorf("%d messages are under way; wait until one has ended", maxUnderWay))
		return
	}
	begun := make(chan int64, 1)
	ctx := simulator.WithBegun(h.options.Context, func(exchange int64) {
		select {
		case begun <- exchange:
		default: // a tap on a button may begin several
		}
	})
	done := make(chan error, 1)
	go func() {
		err := do(ctx)
		<-h.slots
		done <- err
	}()
	s := started{OK: true}
	select {
	case s.Exchange = <-begun:
	case err := <-done:
		select {
		case s.Exchange = <-begun: // both at once
		default:
			if err != nil {
				refuse(w, http.StatusUnprocessableEntity, err)
				return
			}
		}
	}
	answer(w, http.StatusAccepted, s)
}

// do returns when WeChat is done with it, or with an error if it cannot be done.
func (a *action) do(ctx context.Context, o *simulator.Official, u *simulator.User) error {
	send := func(m simulator.Message) error {
		_, err := u.Send(ctx, m)
		return err
	}
	var err error
	switch a.Action {
	case "text":
		return send(simulator.Text(a.Text))
	case "picture":
		if len(a.Data) == 0 {
			return send(simulator.Image("", ""))
		}
		picture, err := o.AddMedia("image", "picture", a.Data)
		if err == nil {
			_, err = u.SendMedia(ctx, picture, "")
		}
		return err
	case "voice":
		_, err = u.Speak(ctx, a.Text)
	case "video":
		return send(simulator.Video("", ""))
	case "shortvideo":
		return send(simulator.ShortVideo("", ""))
	case "location":
		return send(simulator.Location(a.Latitude, a.Longitude, 16, a.Label))
	case "link":
		return send(simulator.Link(a.Title, a.Description, a.URL))
	case "file":
		return send(simulator.File(a.Title, a.Size))
	case "report":
		_, err = u.ReportLocation(ctx, a.Latitude, a.Longitude, 30)
	case "follow":
		_, err = u.Follow(ctx)
	case "unfollow":
		_, err = u.Unfollow(ctx)
	case "scan":
		if strings.TrimSpace(a.Code) == "" {
			return errors.New("there is no scene (场景值); type the one that the QR code has")
		}
		if u.Following() {
			_, err = u.Scan(ctx, a.Code)
		} else {
			_, err = u.FollowByScene(ctx, a.Code)
		}
	case "click":
		_, err = u.Click(ctx, a.Button, &simulator.ClickInput{ScanResult: a.Text, Latitude: a.Latitude, Longitude: a.Longitude, Label: a.Label})
	case "tap":
		_, err = u.Tap(ctx, a.URL)
	case "choose":
		_, err = u.ChooseMenu(ctx, a.Entry)
	default:
		return fmt.Errorf("there is no action %q; reload the page", a.Action)
	}
	return err
}

// repetition says how an exchange is sent again: "replay" sends the same bytes,
// "repeat" the same message signed anew, "new" the same as a new message, "xml"
// another document, signed and sealed as the account's mode wants it, and "raw" any request.
type repetition struct {
	Exchange int64       `json:"exchange"`
	How      string      `json:"how"`
	Document string      `json:"document"` // xml
	Keep     bool        `json:"keep"`     // xml: MsgId and CreateTime stay what they are
	URL      string      `json:"url"`      // raw
	Headers  [][2]string `json:"headers"`  // raw
	Body     string      `json:"body"`     // raw
}

func (h *handler) again(w http.ResponseWriter, r *http.Request) {
	var a repetition
	if !read(w, r, &a) {
		return
	}
	e, ok := h.p.Exchange(a.Exchange)
	o := h.p.Official(e.AppID)
	if !ok || o == nil || o.User(e.OpenID) == nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no message %d any more; only the last ones are kept", a.Exchange))
		return
	}
	u := o.User(e.OpenID)
	h.start(w, func(ctx context.Context) error { return h.repeat(ctx, a, e, u) })
}

func (h *handler) repeat(ctx context.Context, a repetition, e simulator.Exchange, u *simulator.User) error {
	var err error
	switch a.How {
	case "replay":
		_, err = h.p.Replay(ctx, e.ID)
	case "repeat":
		_, err = h.p.Repeat(ctx, e.ID)
	case "new", "xml":
		document := e.Report.Document
		if a.How == "xml" {
			document = []byte(a.Document)
		}
		m, rawErr := simulator.Raw(document, simulator.RawOptions{Keep: a.Keep})
		if rawErr != nil {
			return rawErr
		}
		_, err = u.Send(ctx, m)
	case "raw":
		if !sameServer(a.URL, u.Official().Config().Account.URL) {
			return errors.New("the URL is on another server than the account's; change what comes after the host and the port only")
		}
		header := http.Header{}
		for _, pair := range a.Headers {
			header.Add(pair[0], pair[1])
		}
		_, err = h.p.Resend(ctx, e.ID, simulator.Request{Method: http.MethodPost, URL: a.URL, Header: header, Body: []byte(a.Body)})
	default:
		return fmt.Errorf("there is no way %q to send a message again; reload the page", a.How)
	}
	return err
}

// sameServer keeps the page from being a way to any server.
func sameServer(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Host == y.Host && x.User == nil
}

func (h *handler) addUser(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account  string `json:"account"`
		Nickname string `json:"nickname"`
	}
	if !read(w, r, &in) {
		return
	}
	const limit = 32
	switch name := strings.TrimSpace(in.Nickname); {
	case name == "" || len([]rune(name)) > limit:
		refuse(w, http.StatusUnprocessableEntity, fmt.Errorf("a nickname has 1 to %d characters; choose another", limit))
	default:
		if o := h.official(w, in.Account); o != nil {
			answer(w, http.StatusOK, viewOfUser(o.AddUser(name)))
		}
	}
}

func (h *handler) exchange(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	e, ok := h.p.Exchange(id)
	if !ok {
		refuse(w, http.StatusNotFound, errors.New("this message is not kept any more; only the last ones are"))
		return
	}
	answer(w, http.StatusOK, h.viewOfDetail(e))
}

func (h *handler) call(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	for _, c := range h.p.APICalls() {
		if c.ID == id {
			v := viewOfCall(c)
			request, reply := string(c.Request), string(c.Answer)
			v.Request, v.Answer = &request, &reply
			answer(w, http.StatusOK, v)
			return
		}
	}
	refuse(w, http.StatusNotFound, errors.New("this call is not kept any more; only the last ones are"))
}

// pictures are the kinds of files that the page shows. Whatever else was
// uploaded, it is never served as something that a browser would run.
var pictures = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/bmp": true}

func (h *handler) media(w http.ResponseWriter, r *http.Request) {
	o := h.official(w, r.PathValue("account"))
	if o == nil {
		return
	}
	m, ok := o.Media(r.PathValue("id"))
	if !ok || !pictures[m.ContentType] {
		refuse(w, http.StatusNotFound, errors.New("there is no such picture, or it is older than three days"))
		return
	}
	w.Header().Set("Content-Type", m.ContentType)
	w.Header().Set("Cache-Control", "private, max-age=3600") // a media_id is never given twice
	_, _ = w.Write(m.Data)
}

// recording is a file with one exchange, or with all that are kept, for echostr replay.
func (h *handler) recording(w http.ResponseWriter, r *http.Request) {
	name, ids := "echostr-recording.json", []int64(nil)
	if text := r.URL.Query().Get("exchange"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		e, ok := h.p.Exchange(id)
		if err != nil || !ok || e.Ended.IsZero() {
			refuse(w, http.StatusNotFound, errors.New("this message has not ended yet or is not kept any more; only what has ended can be saved"))
			return
		}
		name, ids = fmt.Sprintf("echostr-%d.json", id), []int64{id}
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Content-Type", "application/json")
	_ = h.p.Record(ids...).Write(w) // to somebody who has gone
}
