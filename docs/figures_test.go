package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
)

// measured reads from benchmarks/results.json what stands beside bare net/http in the section callback, and the
// memory of a parked push, which is its second column, by the names of the servers.
func measured(t *testing.T) (beside, parked map[string]float64) {
	t.Helper()
	text, err := os.ReadFile("benchmarks/results.json")
	if err != nil {
		t.Fatal(err)
	}
	var results struct {
		Sections []struct {
			Name   string
			Tables []struct {
				Rows []struct {
					Name  string
					Cells []struct{ Rounds []float64 }
				}
			}
		}
	}
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	beside, parked = make(map[string]float64), make(map[string]float64)
	for _, s := range results.Sections {
		if s.Name != "callback" && s.Name != "parked" {
			continue
		}
		for _, row := range s.Tables[0].Rows {
			to, column := beside, 1
			if s.Name == "parked" {
				to, column = parked, 0
			}
			if rounds := row.Cells[column].Rounds; len(rounds) > 0 {
				rounds = slices.Sorted(slices.Values(rounds))
				to[row.Name] = rounds[len(rounds)/2]
			}
		}
	}
	return beside, parked
}

// TestFigures: what the pages say of the cost of a push is what `make bench` has measured last.
func TestFigures(t *testing.T) {
	t.Parallel()
	beside, parked := measured(t)
	const (
		chanxuehong = "chanxuehong/wechat"
		fastwego    = "fastwego/offiaccount"
		powerWeChat = "ArtisanCloud/PowerWeChat/v3"
		silenceper  = "silenceper/wechat/v2"
	)
	ours := []string{"Echostr, memory", "Echostr, SQLite", "Echostr, PostgreSQL"}
	aims := []string{"Echostr, memory", "Echostr, memory, safe", "Echostr, SQLite", "Echostr, SQLite, Pure", "Echostr, PostgreSQL"}
	peers := []string{chanxuehong, fastwego, powerWeChat, silenceper}
	for _, says := range []struct {
		file, pattern string
		of            map[string]float64
		format        string
		names         []string
	}{
		{"../README.md", `costs ([\d.]+) times on Echostr in memory, ([\d.]+) times with SQLite and ([\d.]+) with PostgreSQL`, beside, "%.1f", ours},
		{"../README.md", `chanxuehong/wechat costs ([\d.]+) times, fastwego/offiaccount ([\d.]+), PowerWeChat ([\d.]+) and\s+silenceper/wechat ([\d.]+),`, beside, "%.1f", peers},
		{"../README.zh-CN.md", `内存存储是 ([\d.]+) 倍，用 SQLite 是 ([\d.]+) 倍，用 PostgreSQL 是 ([\d.]+) 倍`, beside, "%.1f", ours},
		{"../README.zh-CN.md", `chanxuehong/wechat ([\d.]+) 倍，fastwego/offiaccount ([\d.]+) 倍，PowerWeChat ([\d.]+) 倍，silenceper/wechat ([\d.]+) 倍`, beside, "%.1f", peers},
		{"deploy.md", `a message costs ([\d.]+) times with .memory:., ([\d.]+) times with SQLite and ([\d.]+) with PostgreSQL`, beside, "%.1f", ours},
		{"deploy.zh-CN.md", `.memory:. 是 ([\d.]+) 倍，SQLite 是 ([\d.]+) 倍，PostgreSQL 是 ([\d.]+) 倍`, beside, "%.1f", ours},
		{"benchmarks.md", `It is ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+) and ([\d.]+) \(`, beside, "%.1f", aims},
		{"benchmarks.zh-CN.md", `测得 ([\d.]+)、([\d.]+)、([\d.]+)、([\d.]+) 和 ([\d.]+)：`, beside, "%.1f", aims},
		{"benchmarks.md", `chanxuehong/wechat costs less \(([\d.]+) plain, ([\d.]+) sealed\)`, beside, "%.1f", []string{chanxuehong, chanxuehong + ", safe"}},
		{"benchmarks.zh-CN.md", `chanxuehong/wechat 开销更小（明文 ([\d.]+)，加密 ([\d.]+)）`, beside, "%.1f", []string{chanxuehong, chanxuehong + ", safe"}},
		{"benchmarks.md", `28 KiB each; it is (\d+) \(`, parked, "%.0f", ours[:1]},
		{"benchmarks.zh-CN.md", `每个 28 KiB；[\d-]+ 测得 (\d+)`, parked, "%.0f", ours[:1]},
	} {
		text, err := os.ReadFile(says.file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(says.pattern).FindSubmatch(text)
		if found == nil {
			t.Errorf("%s does not say %s any more", says.file, says.pattern)
			continue
		}
		for i, name := range says.names {
			if want := fmt.Sprintf(says.format, says.of[name]); string(found[i+1]) != want {
				t.Errorf("%s says %s for %s, and %s was measured", says.file, found[i+1], name, want)
			}
		}
	}
}
