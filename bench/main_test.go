package main

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/bench/peers"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/pgtest"
)

// The servers are this program, too.
func TestMain(m *testing.M) {
	if playRole() {
		return
	}
	os.Exit(m.Run())
}

var tiny = counts{
	rounds: 1, requests: 16, conns: 4,
	stored: []int{10, 100}, messages: 64, restarts: 1,
	accounts: []int{1, 3},
	groups:   []int{1, 8}, commits: 2,
	parked: 5, open: 3, answers: 20, benchtime: time.Millisecond,
}

// TestSections runs everything, and holds what comes out to what it must have.
func TestSections(t *testing.T) {
	b := &bench{counts: tiny, log: t.Logf}
	r, err := b.measure("", t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sections) != len(sections) {
		t.Errorf("%d sections of %d were run", len(r.Sections), len(sections))
	}
	for _, s := range r.Sections {
		if len(s.Tables) == 0 {
			t.Errorf("%s has no table", s.Name)
		}
		for _, table := range s.Tables {
			drawn := 0
			for _, row := range table.Rows {
				if len(row.Cells) != len(table.Columns)-1 {
					t.Errorf("%s, %s: %d cells for the columns %q", table.Title, row.Name, len(row.Cells), table.Columns)
				}
				if table.Chart != nil && len(row.Cells[table.Chart.Columns[0]-1].Rounds) > 0 {
					drawn++
				}
				for i, c := range row.Cells {
					if slices.ContainsFunc(c.Rounds, func(f float64) bool { return f != f || f < 0 }) && s.Name != "parked" && s.Name != "accounts" {
						t.Errorf("%s, %s: %s is %v", table.Title, row.Name, table.Columns[i+1], c.Rounds)
					}
				}
			}
			if table.Chart != nil && drawn < 2 {
				t.Errorf("%s: only %d rows were measured", table.Title, drawn)
			}
		}
	}
	servers := r.Sections[0].Tables[0].markdown()
	for _, p := range peers.All {
		if name := strings.TrimPrefix(p.Name, "github.com/"); strings.Count(servers, "| "+name) != 2 {
			t.Errorf("%s is not there, plain and safe:\n%s", name, servers)
		}
	}
	if pgtest.Missing() == "" && strings.Count(servers, "PostgreSQL") < 2 {
		t.Errorf("PostgreSQL is not there:\n%s", servers)
	}
	checkFiles(t, r)
}

// checkFiles: what is written can be read, and another run of one section leaves the others as they are.
func checkFiles(t *testing.T, r *Report) {
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	again := &Report{Sections: []*Section{{Name: "micro", Tables: []*Table{{Title: "another", Columns: []string{"what"}}}}}}
	if err := again.write(dir); err != nil {
		t.Fatal(err)
	}
	md, err := os.ReadFile(filepath.Join(dir, "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Sections {
		for _, table := range s.Tables {
			if got := strings.Contains(string(md), "### "+table.Title); got == (s.Name == "micro") {
				t.Errorf("results.md has %q: %v", table.Title, got)
			}
			if table.Chart == nil {
				continue
			}
			svg, err := os.Open(filepath.Join(dir, table.Chart.File))
			if err != nil {
				t.Error(err)
				continue
			}
			for d := xml.NewDecoder(svg); err == nil; {
				_, err = d.Token()
			}
			svg.Close()
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", table.Chart.File, err)
			}
			if text, _ := os.ReadFile(svg.Name()); strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
				t.Errorf("%s has a place that is nowhere", table.Chart.File)
			}
		}
	}
}

// A server that answers something else quickly is not measured.
func TestRefused(t *testing.T) {
	const user = "ogdotwSc_MmEEsJs9-ABZ1QL_4r4"
	envelope := func(answer string) string {
		cipher := newLoad(callback.Safe, 1).cipher
		return string(cipher.AppendEnvelope(nil, []byte(answer), token, time.Now()))
	}
	echo := func(to, content string) string {
		return "<xml><ToUserName>" + to + "</ToUserName><FromUserName>" + originalID + "</FromUserName><MsgType>text</MsgType><Content><![CDATA[" + content + "]]></Content></xml>"
	}
	for _, c := range []struct {
		name, answer string
		mode         callback.Mode
		ok           bool
	}{
		{"bare", "success", 0, true},
		{"bare rubbish", "", 0, false},
		{"echo", echo(user, hello), callback.Plain, true},
		{"no echo", "success", callback.Plain, false},
		{"another text", echo(user, "x"), callback.Plain, false},
		{"another user", echo("x", hello), callback.Plain, false},
		{"sealed echo", envelope(echo(user, hello)), callback.Safe, true},
		{"sealed nothing", envelope(""), callback.Safe, false},
		{"in clear", echo(user, hello), callback.Safe, false},
		{"another envelope", strings.Replace(envelope(echo(user, hello)), "<Nonce>", "<Nonce>1", 1), callback.Safe, false},
	} {
		if err := newLoad(c.mode, 1).judge([]byte(c.answer), user); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	l := newLoad(callback.Plain, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, hello, http.StatusForbidden) }))
	defer s.Close()
	if err := l.check(s.Listener.Addr().String()); err == nil {
		t.Error("a server that refuses pushes passed")
	}
	if _, _, err := l.hit(2, 4, s.Listener.Addr().String()); err == nil {
		t.Error("a server that refuses pushes was measured")
	}
}

// A message that is seconds old when it comes is not what a first push carries.
func TestLoadIsFresh(t *testing.T) {
	var served atomic.Int64
	first := ids.Load()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if made := ids.Load() - first; made > served.Add(1)+part {
			t.Errorf("%d pushes were made when %d had come", made, served.Load())
		}
		io.WriteString(w, "success")
	}))
	defer s.Close()
	took, _, err := newLoad(0, 1).hit(3, 2*part+3, s.Listener.Addr().String())
	if want := (2*part + 3) / 3 * 3; err != nil || len(took) != want || served.Load() != int64(want) {
		t.Errorf("%d pushes were timed and %d came, want %d; %v", len(took), served.Load(), want, err)
	}
}

func TestFigures(t *testing.T) {
	for f, want := range map[float64]string{0: "0.00", 1.234: "1.23", 9.999: "10.0", 12.34: "12.3", 99.96: "100", 1234.5: "1,234", 1234567: "1,234,567"} {
		if got := figure(f); got != want {
			t.Errorf("%v is written %s, want %s", f, got, want)
		}
	}
	if got := rounds([]float64{3, 1, 2}).String(); got != "1.00, **2.00**, 3.00" {
		t.Error(got)
	}
}
