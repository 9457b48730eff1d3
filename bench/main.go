// Command bench measures what Echostr costs: beside bare net/http, beside other libraries, and as databases, accounts
// and nodes grow. `make bench` runs it.
//
//	cd bench
//	go run .                                      # everything, the tables as Markdown
//	go run . -out ../docs/benchmarks              # and results.md, results.json and charts in that folder
//	go run . -short -only callback,micro          # whether it works; the figures mean nothing
//
// A server runs in a process of its own, pinned to one core where taskset is to be had; the load comes from this
// process, on another. What is compared is alive at once and takes turns, and the figure is the median of
// the rounds, so that what the machine does besides meets all of it. Only ratios mean anything on another machine.
// It needs Linux.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// section is a part of the program that can be run alone.
type section struct {
	name, en, zh string
	run          func(*bench) ([]*Table, error)
}

var sections []*section

func init() { // which refers to what refers to it
	sections = []*section{
		{"callback", "The same echo bot on Echostr and on other libraries. Each answer is checked once before its server is measured.",
			"同一个回声机器人，分别用 Echostr 和其他库实现；每个服务器受测之前先核对它的回答。", (*bench).callback},
		{"stored", "What a message costs as the database grows, and how soon a server that was killed accepts one again.",
			"数据库变大以后一条消息的开销，以及服务器被杀掉后多久又能接收。", (*bench).stored},
		{"accounts", "What a message costs as the accounts of one server grow.", "一个服务器上的公众号变多以后一条消息的开销。", (*bench).accounts},
		{"stores", "Rows that each store commits in a second, beside a file to which as many bytes are appended and flushed.",
			"各种存储每秒提交的行数，对照是把同样多的字节追加到文件并落盘。", (*bench).stores},
		{"parked", "The memory that a push takes which waits for its answer.", "一个等待回答的推送占用的内存。", (*bench).parked},
		{"late", "What thousands of late answers mean for users who are answered at once, and what it costs to send them.",
			"几千条迟到的回复对立即得到回答的用户的影响，以及把它们发出去的开销。", (*bench).late},
		{"nodes", "One node and two on one PostgreSQL, beside the rate of its bare inserts.", "一个 PostgreSQL 上的一个节点和两个节点，对照是数据库单纯插入的速度。", (*bench).nodes},
		{"micro", "Parts beside what they are measured by, in one process.", "各部分与各自的对照，在同一个进程里。", (*bench).micro},
	}
}

func sectionOf(name string) *section {
	for _, s := range sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

// counts say how much is measured.
type counts struct {
	rounds   int
	requests int // per server and round
	conns    int

	stored    []int // turns in databases
	messages  int   // per database and round
	restarts  int
	accounts  []int
	groups    []int // rows in a commit
	commits   int   // per store and round
	parked    int
	open      int // turns whose handlers take minutes
	answers   int // that wait to be sent
	benchtime time.Duration
}

var (
	full = counts{
		rounds: 5, requests: 40_000, conns: 64,
		stored: []int{1000, 10_000, 100_000, 1_000_000}, messages: 20_000, restarts: 100,
		accounts: []int{1, 10, 100, 1000, 10_000},
		groups:   []int{1, 4, 16, 64, 256}, commits: 200,
		parked: 10_000, open: 2000, answers: 10_000, benchtime: 200 * time.Millisecond,
	}
	short = counts{
		rounds: 2, requests: 640, conns: 64,
		stored: []int{1000, 10_000}, messages: 640, restarts: 3,
		accounts: []int{1, 1000},
		groups:   []int{1, 64}, commits: 10,
		parked: 500, open: 50, answers: 500, benchtime: 10 * time.Millisecond,
	}
)

func main() {
	log.SetFlags(0)
	if playRole() {
		return
	}
	b := &bench{counts: full, log: log.Printf}
	only := flag.String("only", "", "sections to run, with commas between them: "+names())
	smoke := flag.Bool("short", false, "a smoke run of a minute, whose figures mean nothing")
	rounds := flag.Int("rounds", 0, "rounds that take turns (5)")
	requests := flag.Int("requests", 0, "requests per server and round (40,000)")
	huge := flag.Bool("huge", false, "go on to 10,000,000 stored turns: 40 GB of disk, and half an hour more")
	out := flag.String("out", "", "write results.md, results.json and charts to this folder; sections that are not run stay as they are there")
	file := flag.String("json", "", "write what was measured to this file as JSON")
	dir := flag.String("dir", ".", "where databases are made, which should be a disk. PostgreSQL's are in $TMPDIR")
	flag.StringVar(&b.name, "machine", "", "what to call the machine (the model of its processor)")
	flag.StringVar(&b.servers, "servers", "", "of the section callback, measure only servers whose name has this in it, beside bare net/http")
	flag.StringVar(&b.profile, "cpuprofile", "", "have every server write a CPU profile to this file with its name and process behind")
	flag.Parse()
	if *smoke {
		b.counts = short
	}
	if *rounds > 0 {
		b.rounds = *rounds
	}
	if *requests > 0 {
		b.requests = *requests
	}
	if *huge {
		b.counts.stored = append(slices.Clone(b.counts.stored), 10_000_000)
	}
	report, err := b.measure(*only, *dir, *smoke)
	if err == nil && *file != "" {
		err = report.writeJSON(*file)
	}
	if err == nil && *out != "" {
		err = report.write(*out)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report.markdown(false))
}

func names() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return strings.Join(all, ",")
}

// measure runs sections, all of them if none is named.
func (b *bench) measure(only, dir string, smoke bool) (_ *Report, err error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("this reads what processes use from /proc: run it on Linux")
	}
	wanted := slices.DeleteFunc(strings.Split(only, ","), func(s string) bool { return s == "" })
	for _, name := range wanted {
		if sectionOf(name) == nil {
			return nil, fmt.Errorf("there is no section %q: use some of %s", name, names())
		}
	}
	if b.dir, err = os.MkdirTemp(dir, "bench-*.tmp"); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil { // a configuration takes its paths from where it lies
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	go func() {
		<-interrupted
		os.RemoveAll(b.dir) // which may be many GB; the servers and PostgreSQL end with this process
		os.Exit(130)
	}()
	defer b.close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the load must not take the servers' core
	report := new(Report)
	for _, s := range sections {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		b.log("%s ...", s.name)
		began := time.Now()
		machine, err := b.machine()
		if err != nil {
			return nil, err
		}
		tables, err := s.run(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		machine.Version = b.version // if it was started meanwhile
		report.Sections = append(report.Sections, &Section{Name: s.name, When: began.UTC().Truncate(time.Second), Machine: machine, Short: smoke, Seconds: time.Since(began).Seconds(), Tables: tables})
		b.log("%s: %v", s.name, time.Since(began).Round(time.Second))
	}
	return report, nil
}
