package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// diary is a store in memory that writes down when it was told to expire and to tidy.
type diary struct {
	store.Store

	mu      sync.Mutex
	began   time.Time
	lines   []string
	removed int
	takes   time.Duration // to tidy
	err     error
}

func newDiary() *diary {
	return &diary{Store: memory.New(memory.Config{Keep: 1000 * time.Hour, Now: time.Now}), began: time.Now()}
}

func (d *diary) write(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, time.Since(d.began).String()+" "+fmt.Sprintf(format, args...))
	return d.err
}

func (d *diary) Expire(_ context.Context, bodies, rows time.Time) (int, error) {
	return d.removed, d.write("expire %v %v", time.Since(bodies), time.Since(rows))
}

func (d *diary) ExpireSessions(_ context.Context, now time.Time) (int, error) {
	return 1, d.write("sessions %v", time.Since(now))
}

func (d *diary) Tidy(context.Context) error {
	err := d.write("tidy")
	d.mu.Lock()
	takes := d.takes
	d.mu.Unlock()
	time.Sleep(takes)
	return err
}

// slow empties the diary and says how long it takes to tidy from now on.
func (d *diary) slow(takes time.Duration) {
	d.tear(nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takes = takes
}

// tear empties the diary and says how calls end from now on.
func (d *diary) tear(err error) (lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines, d.lines, d.began, d.err = d.lines, nil, time.Now(), err
	return lines
}

// work has a janitor work for some time.
func work(d *diary, bodies time.Duration, during func(j *janitor)) string {
	var log bytes.Buffer
	j := newJanitor(d, bodies, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.run(ctx) }()
	during(j)
	cancel()
	<-done
	return log.String()
}

func TestJanitor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		d := newDiary()
		night := time.Until(nextNight(time.Now()))
		log := work(d, 30*24*time.Hour, func(*janitor) { time.Sleep(night + time.Second) })
		var tidied, expired []string
		for _, line := range d.lines {
			if strings.HasSuffix(line, " tidy") {
				tidied = append(tidied, line)
			} else {
				expired = append(expired, line)
			}
		}
		if diff := cmp.Diff([]string{"1m0s tidy", night.String() + " tidy"}, tidied); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		var want []string
		for at := time.Minute; at <= night; at += time.Hour {
			want = append(want, at.String()+" expire 720h0m0s 720h0m0s", at.String()+" sessions 0s")
		}
		if diff := cmp.Diff(want, expired); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if log != "" {
			t.Errorf("nothing was removed and the log says\n%s", log)
		}
	})
}

// What is remembered of users ends in memory, too.
func TestJanitorInMemory(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		session := store.Session{Account: "demo", OpenID: "oSomebody", Data: "{}", Expires: time.Now().Add(30 * time.Minute)}
		if ok, err := r.parts[0].store.SaveSession(t.Context(), &session); err != nil || !ok {
			t.Fatal(ok, err)
		}
		time.Sleep(firstRound + time.Second)
		if _, err := r.parts[0].store.Session(t.Context(), "demo", "oSomebody"); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(expireEvery)
		if s, err := r.parts[0].store.Session(t.Context(), "demo", "oSomebody"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after its end: %v %v", s, err)
		}
	})
}

// P7: that there was a message stays known for seven days at least.
func TestJanitorKeepsKeys(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		d := newDiary()
		d.removed = 12
		log := work(d, time.Hour, func(*janitor) { time.Sleep(2 * time.Minute) })
		if !strings.Contains(strings.Join(d.lines, "\n"), "expire 1h0m0s 168h0m0s") {
			t.Errorf("%q", d.lines)
		}
		if !strings.Contains(log, "messages=12") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// That there was a message stays known for longer than a push of it can be fresh, twice the freshness, with every configuration
// that is accepted.
func TestKeysOutliveFreshness(t *testing.T) {
	t.Parallel()
	accepted, refused := 0, 0
	for seed := range uint64(80) {
		rng := rand.New(rand.NewPCG(seed, 13))
		random := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))).Truncate(time.Second) }
		cfg, err := loadError(t, fmt.Sprintf("%s    mode: %s\n    freshness: %v\nretention:\n  bodies: %v\n", strings.Replace(testYAML, "    mode: plain\n", "", 1),
			[]string{"plain", "compatible", "safe"}[rng.IntN(3)], random(11*time.Minute), random(time.Duration(1+rng.IntN(300))*time.Hour)))
		if err != nil {
			refused++
			continue
		}
		accepted++
		bubble(t, func(t *testing.T) {
			d := newDiary()
			work(d, time.Duration(cfg.Retention.Bodies), func(*janitor) { time.Sleep(2 * time.Minute) })
			for _, line := range d.lines {
				_, ages, ok := strings.Cut(line, " expire ")
				if !ok {
					continue
				}
				_, rows, _ := strings.Cut(ages, " ")
				known, err := time.ParseDuration(rows)
				if fresh := time.Duration(cfg.Accounts[0].Freshness); err != nil || known < 2*fresh || known < time.Duration(cfg.Retention.Bodies) {
					t.Errorf("seed %d: with a freshness of %v and bodies for %v: %s", seed, fresh, cfg.Retention.Bodies, line)
				}
			}
			if len(d.lines) == 0 {
				t.Error("nothing was removed")
			}
		})
	}
	if accepted < 30 || refused < 5 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}

// P10: erasures are tidied up after soon, and together.
func TestJanitorAfterErasures(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		d := newDiary()
		st := watched{Store: d}
		work(d, 30*24*time.Hour, func(j *janitor) {
			st.janitor = j
			time.Sleep(10 * time.Minute)
			d.tear(nil)
			claim(t, st, "oSomebody")
			for range 3 {
				if _, err := st.Erase(t.Context(), "demo", "oSomebody", store.Key{}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
			if _, err := st.Erase(t.Context(), "demo", "oNobody", store.Key{}); err != nil {
				t.Error(err)
			}
			time.Sleep(30 * time.Minute)
		})
		if diff := cmp.Diff([]string{"10s tidy"}, d.lines); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A large database is not tidied all day, and erasures do not wait for hours.
func TestJanitorRests(t *testing.T) {
	t.Parallel()
	for takes, want := range map[time.Duration][]string{
		time.Second:       {"10s tidy", "31s tidy", "52s tidy", "1m13s tidy"}, // and 20 times that
		30 * time.Second:  {"10s tidy", "10m40s tidy", "21m10s tidy"},
		10 * time.Minute:  {"10s tidy", "1h10m10s tidy", "2h20m10s tidy"},
		time.Millisecond:  {"10s tidy", "22.5s tidy", "34.5s tidy"}, // 10 s after the next erasure
		100 * time.Minute: {"10s tidy", "2h40m10s tidy"},
	} {
		t.Run(takes.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				d := newDiary()
				work(d, 30*24*time.Hour, func(j *janitor) {
					time.Sleep(10 * time.Minute)
					d.slow(takes)
					j.note()
					time.Sleep(500 * time.Millisecond)
					for range 4 * 1200 {
						j.note()
						time.Sleep(3 * time.Second)
					}
				})
				var tidied []string
				for _, line := range d.lines {
					if strings.HasSuffix(line, " tidy") && len(tidied) < len(want) {
						tidied = append(tidied, line)
					}
				}
				if diff := cmp.Diff(want, tidied); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

// What fails late rests, too.
func TestJanitorRestsAfterFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		d := newDiary()
		d.err, d.takes = errors.New("no space"), time.Minute
		log := work(d, 30*24*time.Hour, func(*janitor) { time.Sleep(40 * time.Minute) })
		tidied := 0
		for _, line := range d.lines {
			if strings.HasSuffix(line, " tidy") {
				tidied++
			}
		}
		if tidied != 2 || !strings.Contains(log, "again_in=20m0s") {
			t.Errorf("%q\n%s", d.lines, log)
		}
	})
}

func TestJanitorTriesAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		d := newDiary()
		d.err = errors.New("no space")
		var lines []string
		log := work(d, 30*24*time.Hour, func(*janitor) {
			time.Sleep(150 * time.Second)
			lines = d.tear(nil)
			time.Sleep(10 * time.Minute)
		})
		tidied := 0
		for _, line := range append(lines, d.lines...) {
			if strings.HasSuffix(line, "tidy") {
				tidied++
			}
		}
		if tidied != 3 || strings.Count(log, "no space") != 4 { // with those of Expire and ExpireSessions
			t.Errorf("%q %q\n%s", lines, d.lines, log)
		}
		d.err = store.ErrBroken
		if log := work(d, time.Hour, func(*janitor) { time.Sleep(time.Minute + time.Second) }); log != "" {
			t.Errorf("what others report is reported again:\n%s", log)
		}
	})
}

func TestNextNight(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("", 8*3600)
	for in, want := range map[string]string{
		"2026-03-01T00:00:00": "2026-03-01T04:00:00", "2026-03-01T03:59:59": "2026-03-01T04:00:00",
		"2026-03-01T04:00:00": "2026-03-02T04:00:00", "2026-12-31T23:00:00": "2027-01-01T04:00:00",
	} {
		now, err := time.ParseInLocation("2006-01-02T15:04:05", in, shanghai)
		if err != nil {
			t.Fatal(err)
		}
		if got := nextNight(now).Format("2006-01-02T15:04:05"); got != want {
			t.Errorf("after %s comes %s, want %s", in, got, want)
		}
	}
}

// claim puts a finished turn of a user into a store.
func claim(t *testing.T, st store.Store, openID string) store.Key {
	t.Helper()
	now := time.Now()
	key := store.NewKeyer([]byte(openID)).Key([32]byte{1}, now.Unix(), now)
	ops := []store.Op{{Turn: store.Turn{Key: key, Account: "demo", OpenID: openID, MsgType: "text", Body: "a body", CreateTime: now.Unix(), ReceivedAt: now.UTC(), State: store.Silent, Attempt: 1, FinishedAt: now.UTC()}}}
	if err := st.Claim(t.Context(), ops); err != nil || !ops[0].OK {
		t.Fatalf("%v %v", err, ops[0].Err)
	}
	return key
}
