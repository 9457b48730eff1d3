package callback_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

// fakeAPI is a customer-service API that notes what it is asked to send, in order.
type fakeAPI struct {
	// fate, if set, decides about the n-th request, counted from 0. It may block.
	fate func(n int, s sent) callback.Sending

	mu     sync.Mutex
	asked  int
	open   map[string]int // requests under way by user
	sent   []sent         // what was taken
	typing []string
	crowd  bool // two requests of one user were under way at the same time
}

type sent struct {
	openID string
	reply  echostr.Reply
	at     time.Time
}

func (f *fakeAPI) Send(_ context.Context, openID string, r echostr.Reply) callback.Sending {
	f.mu.Lock()
	n := f.asked
	f.asked++
	if f.open == nil {
		f.open = make(map[string]int)
	}
	f.open[openID]++
	f.crowd = f.crowd || f.open[openID] > 1
	f.mu.Unlock()
	s := sent{openID, r, time.Now()}
	res := callback.Sending{Fate: callback.SendDone}
	if f.fate != nil {
		res = f.fate(n, s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[openID]--
	if res.Fate == callback.SendDone {
		f.sent = append(f.sent, s)
	}
	return res
}

func (f *fakeAPI) Typing(_ context.Context, openID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.typing = append(f.typing, openID)
	return nil
}

// requests is how often it was asked to send.
func (f *fakeAPI) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeAPI) all() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// texts are the texts that were taken for a user, in order.
func (f *fakeAPI) texts(openID string) (texts []string) {
	for _, s := range f.all() {
		if t, ok := s.reply.(echostr.TextReply); ok && s.openID == openID {
			texts = append(texts, t.Content)
		}
	}
	return texts
}

// verify gives an account the customer-service API.
func verify(a *callback.Account) *fakeAPI {
	api := new(fakeAPI)
	a.API = api
	return api
}
