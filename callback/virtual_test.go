package callback_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

var (
	virtualMessages = flag.Int("virtual.messages", 10_000, "messages of TestVirtual, of all its seeds together")
	virtualSeeds    = flag.Int("virtual.seeds", 1, "with how many seeds TestVirtual runs, one after the other")
)

// TestVirtual plays WeChat with thousands of messages under way at the same time, in virtual
// time, against the callback and its store in memory: three accounts, one in each mode and
// under other habits of WeChat, hundreds of users who write before the last answer is there, and
// handlers of every slowness. Nothing is lost, nothing is started twice, and every user sees
// what the rules, computed without the server, let them see. The full run:
//
//	go test ./callback -run 'TestVirtual$' -v -timeout 60m -virtual.messages 1000000 -virtual.seeds 20
func TestVirtual(t *testing.T) {
	t.Parallel()
	total := virtualReport{Scenario: "virtual", Seeds: *virtualSeeds}
	for seed := range *virtualSeeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { virtual(t, &total, uint64(seed), *virtualMessages / *virtualSeeds) })
	}
	line, err := json.Marshal(&total)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
}

// virtualReport is the line of JSON that is kept in docs/reliability.
type virtualReport struct {
	Scenario     string `json:"scenario"`
	Seeds        int    `json:"seeds"`
	Messages     int    `json:"messages"`
	Pushes       int    `json:"pushes"`
	Replies      int    `json:"replies"`
	Late         int    `json:"late"`
	FaultNotices int    `json:"fault_notices"` // that nobody could avoid
	Lost         int    `json:"lost"`
	StartedTwice int    `json:"started_twice"`
}

func virtual(t *testing.T, total *virtualReport, seed uint64, messages int) {
	began := time.Now()
	if messages > 10_000 { // a fifth of the time would go into collecting the garbage
		defer debug.SetGCPercent(debug.SetGCPercent(200))
	}
	users := max(10, min(messages/100, 400))
	slowness := []time.Duration{0, 10, 700, 3000, 4400, 4600, 5200, 6000, 9600, 12000, 14300, 14800, 20000} // ms

	var starts sync.Map // the contents of the messages whose handler was started
	var mu sync.Mutex   // guards the rest
	twice, overlapping, underWay, longest := 0, 0, 0, 0
	handler := echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
		text, ok := m.(*echostr.TextMessage)
		if !ok {
			return nil, fmt.Errorf("a message of the type %T", m)
		}
		if _, again := starts.LoadOrStore(text.Content, true); again {
			mu.Lock()
			twice++
			mu.Unlock()
		}
		var id, ms int
		if _, err := fmt.Sscanf(text.Content, "%d 慢 %d", &id, &ms); err != nil {
			return nil, err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return echostr.Text("re: " + text.Content), nil
	})

	var report struct {
		replies, late, faults, pushes, read, lost int
		virtual                                   time.Duration
	}
	in2026(t, func(t *testing.T) {
		begin := time.Now()
		accounts := []callback.Account{account(callback.Plain, handler), account(callback.Compatible, handler), account(callback.Safe, handler)}
		rules := []simulator.Rules{{Pushes: 3}, {Pushes: 4, FreshRetries: true}, {Pushes: 3, FreshRetries: true, LoseFirst: 1, WaitAfterFailure: true}}
		for i := range accounts {
			accounts[i].Name, accounts[i].AppID = fmt.Sprint("a", i), fmt.Sprintf("wx%016d", i)
			accounts[i].HoldBudget = -1
		}
		api := verify(&accounts[1])
		// What is older than all retries is forgotten, so that the full run needs little memory.
		rows := memory.New(memory.Config{Keep: 2 * time.Minute})
		server, err := callback.New(callback.Config{Accounts: accounts, Store: rows, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		platform := simulator.NewPlatform(simulator.PlatformConfig{Transport: simulator.Direct(server)})
		var officials []*simulator.Official
		for i, a := range accounts {
			o, err := platform.Add(simulator.OfficialConfig{Account: simulator.Account{
				URL: "http://wechat.test/wx/" + a.Name, Token: a.Token, Mode: simulator.Mode(a.Mode.String()), AppID: a.AppID, EncodingAESKey: a.EncodingAESKey,
			}})
			if err != nil {
				t.Fatal(err)
			}
			o.SetRules(rules[i])
			officials = append(officials, o)
		}

		answered := regexp.MustCompile(`(?m)^re: (\d+ 慢 \d+)$`)
		read := func(u *simulator.User, asked map[string]bool, text string) {
			for _, m := range answered.FindAllStringSubmatch(text, -1) {
				report.read++
				if !asked[m[1]] {
					t.Errorf("%s reads the answer to %q without having asked, or twice", u.Nickname(), m[1])
				}
				delete(asked, m[1])
			}
		}
		var sent sync.WaitGroup
		say := func(u *simulator.User, text string, slow time.Duration, verified bool, r simulator.Rules) {
			defer sent.Done()
			sees, pushes, placeholder := expected(slow, verified, r, time.Duration(time.Now().Nanosecond()))
			mu.Lock()
			underWay++
			longest = max(longest, underWay)
			mu.Unlock()
			got, err := u.Say(t.Context(), text)
			mu.Lock()
			defer mu.Unlock()
			underWay--
			if err != nil {
				t.Error(err)
				return
			}
			if got.Verdict.Sees != sees || len(got.Pushes) != pushes || sees == simulator.SeesReply && !strings.HasSuffix(got.Verdict.Reply.Content, "re: "+text) != placeholder {
				t.Errorf("%q: the user sees %v after %d pushes, want %v after %d\n%v", text, got.Verdict.Sees, len(got.Pushes), sees, pushes, got)
			}
			report.pushes += len(got.Pushes)
			if len(got.Pushes) > 1 {
				overlapping++
			}
			switch sees {
			case simulator.SeesReply:
				report.replies++
			case simulator.SeesNothing:
				report.late++
			default:
				report.faults++
			}
		}
		// All users end at about the same time: of an account that lost the first push of each of its last messages, over
		// twenty seconds, nobody can say whether its clock is wrong.
		var next atomic.Int64
		for n := range users {
			official := n % len(officials)
			u := officials[official].AddFollower("")
			random := rand.New(rand.NewPCG(uint64(n), seed))
			sent.Go(func() {
				for i := int(next.Add(1)) - 1; i < messages; i = int(next.Add(1)) - 1 {
					time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
					ms := slowness[random.IntN(len(slowness))]
					sent.Add(1)
					go say(u, fmt.Sprintf("%d 慢 %d", i, ms), ms*time.Millisecond, accounts[official].API != nil, rules[official])
				}
			})
		}
		sent.Wait()
		time.Sleep(30 * time.Second) // whatever happens late
		report.virtual = time.Since(begin)

		// What stands in the chats is what was answered, each in the chat of who asked.
		for _, o := range officials {
			for _, u := range o.Users() {
				asked := map[string]bool{}
				for _, b := range u.Chat() {
					switch b.From {
					case simulator.FromUser:
						asked[b.Text] = true
					case simulator.FromAccount:
						read(u, asked, b.Text)
					}
				}
				for _, text := range api.texts(u.OpenID()) {
					read(u, asked, text)
				}
			}
		}
		// What nobody has read is kept.
		kept := 0
		for u := (time.Time{}); ; {
			list, err := rows.List(t.Context(), store.Filter{Due: true, Until: u})
			if err != nil {
				t.Fatal(err)
			}
			for i := range list {
				if list[i].Delivery != store.Ticket && list[i].Delivery != store.Fetched {
					t.Errorf("a turn is left with the delivery %v", list[i].Delivery)
				}
				if list[i].Delivery == store.Ticket { // with all that was put ahead of it
					kept += strings.Count(list[i].Reply, "re: ")
				}
			}
			if len(list) < store.DefaultLimit {
				break
			}
			u = list[len(list)-1].ReceivedAt
		}
		if report.lost = messages - report.faults - report.read - kept; report.lost != 0 {
			t.Errorf("%d messages: %d answers were read and %d are kept", messages, report.read, kept)
		}
		t.Logf("%d answers were read, %d of them by the API; %d are kept for the user", report.read, len(api.all()), kept)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})

	started := 0
	starts.Range(func(any, any) bool { started++; return true })
	if started != messages || twice != 0 {
		t.Errorf("%d of %d messages were started, %d of them twice", started, messages, twice)
	}
	if overlapping < messages/4 || longest < users {
		t.Errorf("only %d messages were pushed again, and at most %d were under way: this tests too little", overlapping, longest)
	}
	total.Messages += messages
	total.Pushes += report.pushes
	total.Replies += report.replies
	total.Late += report.late
	total.FaultNotices += report.faults
	total.Lost += report.lost
	total.StartedTwice += twice
	t.Logf("%d messages of %d users in %v of virtual and %v of real time: %d pushes, at most %d messages under way, %d replies, %d late, %d fault notices that nobody could avoid; 0 lost, 0 started twice",
		messages, users, report.virtual.Round(time.Second), time.Since(began).Round(time.Millisecond), report.pushes, longest, report.replies, report.late, report.faults)
}
