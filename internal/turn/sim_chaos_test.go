package turn

import (
	"reflect"
	"time"

	"github.com/echostr/echostr/store"
)

// wreck breaks something, and comes again, until the world's end is near.
func (s *sim) wreck() {
	if s.now > s.end {
		return
	}
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch k := s.rng.IntN(130); {
	case k < 40:
		n.crash()
	case k < 50: // a process that is sending, if there is one
		for _, other := range s.nodes {
			for _, l := range other.sorted() {
				if l.sending > 0 {
					n = other
				}
			}
		}
		n.crash()
	case k >= 120:
		s.reached.APIOutages++
		s.apiDown = s.now + s.between(5*time.Second, 100*time.Second)
		s.tell(nil, "the API is down until %v", s.apiDown)
	case k >= 116:
		u := s.users[s.rng.IntN(len(s.users))]
		s.tell(nil, "%v goes", u)
		u.gone = true
		for _, m := range u.msgs {
			m.disturbed = true
		}
	case k >= 100 && len(s.disk.live) > 0:
		kind := Resend
		if s.chance(.4) {
			kind = Drop
		}
		s.operate(n, s.msgs[s.disk.live[s.rng.IntN(len(s.disk.live))]], kind)
	case k < 55: // a power cut: all at once
		for _, n := range s.nodes {
			n.crash()
		}
	case k < 68:
		if n.up && !n.paused {
			s.reached.Pauses++
			d := s.between(100*time.Millisecond, 4*time.Second)
			if s.chance(.4) {
				s.reached.LongPauses++
				d = s.between(store.Lease, 3*store.Lease)
			}
			n.pause(d)
		}
	case k < 82:
		s.outage(n)
	case k < 92:
		s.jump()
	default:
		m := s.msgs[s.rng.IntN(len(s.msgs))]
		for _, l := range n.sorted() {
			if s.disk.rows[l.m.id].Version == 0 && s.chance(.2) {
				m = l.m // somebody whose message is under way, and not on the disk yet
				break
			}
		}
		s.disk.erase(m)
	}
	s.after(s.between(10*time.Millisecond, 9*time.Second), s.wreck)
}

// operate is an operator who wants a reply sent, or given up.
func (s *sim) operate(n *node, m *message, kind Kind) {
	if !n.up || n.paused || !s.disk.rows[m.id].State.Finished() {
		return
	}
	s.reached.Operated++
	m.disturbed = true
	m.seen.operated++
	n.local(m).post(job{ev: Event{Kind: kind}, reload: true})
}

// outage takes the store away from one process, or from all.
func (s *sim) outage(n *node) {
	d := s.between(50*time.Millisecond, 3*time.Second)
	if s.chance(.3) {
		d = s.between(3*time.Second, 25*time.Second)
	}
	s.reached.Outages++
	for _, other := range s.nodes {
		if other.cutOff || other != n && s.chance(.5) {
			continue
		}
		s.tell(nil, "node %d cannot reach the store for %v", other.index, d)
		other.cutOff = true
		other.disturb()
		s.after(d, func() {
			other.disturb()
			other.cutOff = false
		})
	}
}

// jump moves the wall clock of all processes, and back some time later.
func (s *sim) jump() {
	s.reached.Jumps++
	s.jumpedAt = s.now
	by := []time.Duration{-24 * time.Hour, -time.Hour, -time.Minute, -3 * time.Second, -time.Second, time.Second, 2 * time.Second, 10 * time.Second, time.Hour, 24 * time.Hour}
	s.wallOff += by[s.rng.IntN(len(by))]
	s.tell(nil, "the wall clock is wrong by %v", s.wallOff)
	for _, m := range s.msgs {
		if m.at <= s.now && !m.over {
			m.disturbed = true
		}
	}
	s.after(s.between(time.Second, 10*time.Second), func() { s.wallOff, s.jumpedAt = 0, s.now })
}

// reached counts what worlds have come upon, so that one can see that it was there.
type reached struct {
	Worlds         int `json:"worlds"`
	Messages       int `json:"messages"`
	Pushes         int `json:"pushes"`
	Retries        int `json:"retries"`
	Overlaps       int `json:"overlaps"`
	Duplicates     int `json:"duplicates"`
	FirstLost      int `json:"first_lost"`
	Pure           int `json:"pure"`
	Starts         int `json:"starts"`
	Crashes        int `json:"crashes"`
	Restarts       int `json:"restarts"`
	LostLeases     int `json:"lost_leases"`
	Pauses         int `json:"pauses"`
	LongPauses     int `json:"pauses_beyond_lease"`
	Outages        int `json:"outages"`
	Commits        int `json:"commits"`
	Conflicts      int `json:"conflicts"`
	LostAnswers    int `json:"lost_commit_answers"`
	StoreErrors    int `json:"store_errors"`
	Jumps          int `json:"clock_jumps"`
	Replies        int `json:"replies"`
	Late           int `json:"successes"`
	Placeholders   int `json:"placeholders"`
	Held           int `json:"held"`
	TooLate        int `json:"left_to_the_cut"`
	Replays        int `json:"replays"`
	Faults         int `json:"fault_notices"`
	Tickets        int `json:"tickets"`
	Taps           int `json:"taps"`
	Words          int `json:"words"`
	Crowded        int `json:"crowded"`
	DeadLinks      int `json:"dead_links"`
	Waits          int `json:"waits"`
	Fetches        int `json:"fetches"`
	Merges         int `json:"merges"`
	Denies         int `json:"denies"`
	GivenBack      int `json:"given_back"`
	Requests       int `json:"api_requests"`
	Parts          int `json:"api_parts"`
	Busy           int `json:"api_busy"`
	OutOfTime      int `json:"api_45015"`
	OutOfCount     int `json:"api_45047"`
	Forbidden      int `json:"api_48001"`
	Gone           int `json:"api_gone"`
	UnknownDone    int `json:"api_unknown_and_sent"`
	UnknownLost    int `json:"api_unknown_and_lost"`
	Hangs          int `json:"api_hangs"`
	APIOutages     int `json:"api_outages"`
	CrashesSending int `json:"crashes_while_sending"`
	CrashesTaking  int `json:"crashes_after_take"`
	Operated       int `json:"operated"`
	Ambiguous      int `json:"ambiguous"`
	Declared       int `json:"declared_ambiguous"`
	Doubles        int `json:"doubles"`
	Window         int `json:"window_closed"`
	Quota          int `json:"quota_used_up"`
	Unasked        int `json:"unasked"`
	Assumed        int `json:"assumed"`
	Undeliverable  int `json:"undeliverable"`
	Expired        int `json:"expired"`
	Erased         int `json:"erased"`
	ErasedEarly    int `json:"erased_before_stored"`
	Interrupted    int `json:"interrupted"`
	Quarantined    int `json:"quarantined"`
	Undisturbed    int `json:"undisturbed"`
}

func (r *reached) add(o *reached) {
	sum, more := reflect.ValueOf(r).Elem(), reflect.ValueOf(o).Elem()
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}
