package server

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/wxapi"
)

// Metrics are listed in the package comment, too, and used by the dashboard and the
// alerts in deploy; tests compare them all.

// metric is one number of S without labels.
type metric[S any] struct {
	name, help string
	kind       prometheus.ValueType
	read       func(*S) float64
}

// distribution is one histogram of S.
type distribution[S any] struct {
	name, help string
	read       func(*S) histogram.Snapshot
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var metrics = []metric[callback.Stats]{
	{"pushes_total", "Verified pushes, retries included.", counter, func(s *callback.Stats) float64 { return float64(s.Pushes) }},
	{"push_retries_total", "Pushes of a message that was known.", counter, func(s *callback.Stats) float64 { return float64(s.Retries) }},
	{"push_replays_total", "Pushes that came too late to be retries.", counter, func(s *callback.Stats) float64 { return float64(s.Replays) }},
	{"pushes_held_total", "Pushes left open beyond their window.", counter, func(s *callback.Stats) float64 { return float64(s.Held) }},
	{"pushes_aborted_total", "Pushes that outlived WeChat's cut.", counter, func(s *callback.Stats) float64 { return float64(s.Aborted) }},
	{"push_deadline_misses_total", "Pushes neither finished within 4.6 s nor held for their retry.", counter, func(s *callback.Stats) float64 { return float64(s.DeadlineMisses) }},
	{"pushes_hold_denied_total", "Pushes that were not held for their retry, since the budget was spent or no retries come.", counter, func(s *callback.Stats) float64 { return float64(s.HoldsDenied) }},
	{"pushes_without_retry_total", "Held pushes after which WeChat did not push again.", counter, func(s *callback.Stats) float64 { return float64(s.NoRetry) }},
	{"tickets_total", "Answers that were kept for the user to fetch.", counter, func(s *callback.Stats) float64 { return float64(s.Tickets) }},
	{"ticket_fetches_total", "Messages of users that fetched an answer.", counter, func(s *callback.Stats) float64 { return float64(s.Fetches) }},
	{"answers_undeliverable_total", "Answers that no way was left for.", counter, func(s *callback.Stats) float64 { return float64(s.Undeliverable) }},
	{"outbox_waiting", "Answers that the API is to send.", gauge, func(s *callback.Stats) float64 { return float64(s.Outbox) }},
	{"outbox_oldest_seconds", "How long the oldest of them has been ready.", gauge, func(s *callback.Stats) float64 { return s.OutboxAge }},
	{"answer_ambiguous_total", "Answers of which nobody knows whether they arrived: a process died, or the API did not say.", counter, func(s *callback.Stats) float64 { return float64(s.Ambiguous) }},
	{"handler_starts_total", "Handler starts.", counter, func(s *callback.Stats) float64 { return float64(s.Starts) }},
	{"handler_panics_total", "Handlers that panicked.", counter, func(s *callback.Stats) float64 { return float64(s.Panics) }},
	{"handler_errors_total", "Handlers that returned an error, or a reply that WeChat would not take.", counter, func(s *callback.Stats) float64 { return float64(s.HandlerErrors) }},
	{"handler_timeouts_total", "Handlers that took longer than their time.", counter, func(s *callback.Stats) float64 { return float64(s.HandlerTimeouts) }},
	{"messages_quarantined_total", "Messages given up because the process died in every attempt.", counter, func(s *callback.Stats) float64 { return float64(s.Quarantined) }},
	{"messages_interrupted_total", "Messages given up because the process died and their account has once.", counter, func(s *callback.Stats) float64 { return float64(s.Interrupted) }},
	{"messages_flood_total", "Messages that were kept and not handled, because their users flood.", counter, func(s *callback.Stats) float64 { return float64(s.Floods) }},
	{"url_checks_total", "Verified GETs.", counter, func(s *callback.Stats) float64 { return float64(s.URLChecks) }},
	{"bare_gets_total", "GETs without any parameter of WeChat's.", counter, func(s *callback.Stats) float64 { return float64(s.BareGets) }},
	{"empty_bodies_total", "Verified pushes without a body.", counter, func(s *callback.Stats) float64 { return float64(s.EmptyBodies) }},
	{"unknown_paths_total", "Requests for no account.", counter, func(s *callback.Stats) float64 { return float64(s.UnknownPath) }},
	{"other_methods_total", "Requests that are neither GET nor POST.", counter, func(s *callback.Stats) float64 { return float64(s.OtherMethod) }},
	{"store_errors_total", "Failed calls of the store.", counter, func(s *callback.Stats) float64 { return float64(s.StoreErrors) }},
	{"pushes_open", "Open pushes.", gauge, func(s *callback.Stats) float64 { return float64(s.Waiting) }},
	{"pushes_held_now", "Open pushes that are beyond their window.", gauge, func(s *callback.Stats) float64 { return float64(s.HeldNow) }},
	{"handlers_running", "Handlers within their time.", gauge, func(s *callback.Stats) float64 { return float64(s.Running) }},
	{"handlers_abandoned", "Handlers that hang beyond their time.", gauge, func(s *callback.Stats) float64 { return float64(s.Abandoned) }},
}

var distributions = []distribution[callback.Stats]{
	{"answer_age_seconds", "Time from the first push of a message until its reply was written to a push.", func(s *callback.Stats) histogram.Snapshot { return s.AnswerAge }},
	{"handler_seconds", "How long handlers ran.", func(s *callback.Stats) histogram.Snapshot { return s.HandlerTime }},
	{"store_save_seconds", "How long pushes and results waited for the store.", func(s *callback.Stats) histogram.Snapshot { return s.StoreLatency }},
}

// Those of a store that tells about itself.
var (
	storeMetrics = []metric[sqlite.Stats]{
		{"store_commits_total", "Transactions of turns.", counter, func(s *sqlite.Stats) float64 { return float64(s.Commits) }},
		{"store_rows_total", "Turns written.", counter, func(s *sqlite.Stats) float64 { return float64(s.Rows) }},
		{"store_free_bytes", "Room left on the disk of the database.", gauge, func(s *sqlite.Stats) float64 { return float64(s.FreeBytes) }},
		{"store_file_bytes", "Size of the database.", gauge, func(s *sqlite.Stats) float64 { return float64(s.FileBytes) }},
		{"store_wal_bytes", "Size of its write-ahead log.", gauge, func(s *sqlite.Stats) float64 { return float64(s.WALBytes) }},
		{"store_full", "1 if no message is accepted because the disk is full.", gauge, func(s *sqlite.Stats) float64 {
			if s.Full {
				return 1
			}
			return 0
		}},
	}
	storeDistributions = []distribution[sqlite.Stats]{
		{"store_commit_seconds", "How long transactions took.", func(s *sqlite.Stats) histogram.Snapshot { return s.Latency }},
		{"store_group_size", "Turns written in one transaction.", func(s *sqlite.Stats) histogram.Snapshot { return s.GroupSize }},
	}
)

// clientMetrics are those of a client of WeChat's API, by account.
var clientMetrics = []metric[wxapi.Stats]{
	{"api_calls_total", "Calls of WeChat's API.", counter, func(s *wxapi.Stats) float64 { return float64(s.Calls) }},
	{"api_paused", "1 while calls of WeChat's API are kept back until the owner of the account acts.", gauge, func(s *wxapi.Stats) float64 {
		return float64(min(len(s.Paused), 1))
	}},
	{"token_fetches_total", "How often WeChat was asked for an access token.", counter, func(s *wxapi.Stats) float64 { return float64(s.TokenFetches) }},
	{"token_fetch_errors_total", "How often WeChat was asked for an access token in vain.", counter, func(s *wxapi.Stats) float64 { return float64(s.TokenFetchErrors) }},
	{"token_conflicts_total", "Access tokens that died early again.", counter, func(s *wxapi.Stats) float64 { return float64(s.TokenConflicts) }},
}

// failures are the calls of WeChat's API that have failed, by what has become of them.
func failures(s *wxapi.Stats) map[string]uint64 {
	return map[string]uint64{"refused": s.Refused, "not_sent": s.NotSent, "unknown": s.Unknown}
}

// known reports whether a number says something: the room on a disk may be unknown.
func known(v float64) bool { return v >= 0 }

const namespace = "echostr_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

var (
	refusedDesc     = desc("pushes_refused_total", "Refused requests.", "account", "reason")
	answersDesc     = desc("answers_total", "Answers, by the way they went.", "answer", "way")
	connectionsDesc = desc("connections_refused_total", "Connections beyond the limits.")
	sendsDesc       = desc("outbox_sends_total", "Messages that the API was asked to send, by what has become of them.", "fate")
	readyDesc       = desc("ready", "1 if pushes of all accounts can be accepted.")
	buildDesc       = desc("build_info", "The version of the program.", "version")
	failuresDesc    = desc("api_calls_failed_total", "Calls of WeChat's API that have failed.", "account", "outcome")
	codesDesc       = desc("api_refusals_total", "Refusals of WeChat's API by errcode.", "account", "code")
)

// collector reads the numbers when they are asked for.
type collector struct{ server *Server }

func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Describe is part of prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{refusedDesc, answersDesc, sendsDesc, connectionsDesc, readyDesc, buildDesc, failuresDesc, codesDesc} {
		out <- d
	}
	describe(out, metrics, distributions)
	describe(out, storeMetrics, storeDistributions)
	for _, m := range clientMetrics {
		out <- desc(m.name, m.help, "account")
	}
}

func describe[S any](out chan<- *prometheus.Desc, metrics []metric[S], distributions []distribution[S]) {
	for _, m := range metrics {
		out <- desc(m.name, m.help)
	}
	for _, d := range distributions {
		out <- desc(d.name, d.help)
	}
}

// Collect is part of prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	stats := c.server.stats()
	collect(out, &stats, metrics, distributions)
	if stats, ok := c.server.storeStats(); ok {
		collect(out, &stats, storeMetrics, storeDistributions)
	}
	for answer, ways := range answers(&stats) {
		for way, n := range ways {
			send(answersDesc, counter, float64(n), answer, way)
		}
	}
	for fate, n := range stats.Sends {
		send(sendsDesc, counter, float64(n), fate)
	}
	for account, reasons := range stats.Refused {
		for reason, n := range reasons {
			send(refusedDesc, counter, float64(n), account, reason)
		}
	}
	for account, client := range c.server.clients {
		stats := client.Stats()
		for _, m := range clientMetrics {
			send(desc(m.name, m.help, "account"), m.kind, m.read(&stats), account)
		}
		for outcome, n := range failures(&stats) {
			send(failuresDesc, counter, float64(n), account, outcome)
		}
		for code, n := range stats.Codes {
			send(codesDesc, counter, float64(n), account, strconv.Itoa(code))
		}
	}
	send(connectionsDesc, counter, float64(c.server.limited.count.Load()))
	ready := 0.0
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, all := c.server.ready(ctx); all == nil {
		ready = 1
	}
	send(readyDesc, gauge, ready)
	send(buildDesc, gauge, 1, c.server.opts.Version)
}

func collect[S any](out chan<- prometheus.Metric, stats *S, metrics []metric[S], distributions []distribution[S]) {
	for _, m := range metrics {
		if v := m.read(stats); known(v) {
			out <- prometheus.MustNewConstMetric(desc(m.name, m.help), m.kind, v)
		}
	}
	for _, d := range distributions {
		h := d.read(stats)
		buckets, n := make(map[float64]uint64, len(h.Bounds)), uint64(0)
		for i, bound := range h.Bounds {
			n += h.Counts[i]
			buckets[bound] = n
		}
		out <- prometheus.MustNewConstHistogram(desc(d.name, d.help), h.Count(), h.Sum, buckets)
	}
}

// answers are the numbers of answers by what they were and the way they went: the first
// push of the message, a retry, or none yet, since `success` had been said before.
func answers(s *callback.Stats) map[string]map[string]uint64 {
	ways := func(a callback.Answers) map[string]uint64 {
		return map[string]uint64{"push": a.First, "retry": a.Retry}
	}
	all := map[string]map[string]uint64{"reply": ways(s.Replies), "fallback": ways(s.Fallbacks), "success": ways(s.Successes), "placeholder": ways(s.Placeholders)}
	all["reply"]["late"] = s.Late
	return all
}

// numbers are the metrics under their names without the prefix, as JSON.
func (s *Server) numbers() map[string]any {
	stats := s.stats()
	all := map[string]any{
		"answers_total":             answers(&stats),
		"outbox_sends_total":        stats.Sends,
		"pushes_refused_total":      stats.Refused,
		"connections_refused_total": s.limited.count.Load(),
		"version":                   s.opts.Version,
	}
	number(all, &stats, metrics, distributions)
	if stats, ok := s.storeStats(); ok {
		number(all, &stats, storeMetrics, storeDistributions)
	}
	s.clientNumbers(all)
	return all
}

// clientNumbers are those of the clients of WeChat's API, by the names of their accounts.
func (s *Server) clientNumbers(all map[string]any) {
	if len(s.clients) == 0 {
		return
	}
	failed, codes := make(map[string]map[string]uint64), make(map[string]map[int]uint64)
	values := make(map[string]map[string]float64)
	for account, client := range s.clients {
		stats := client.Stats()
		failed[account], codes[account] = failures(&stats), stats.Codes
		for _, m := range clientMetrics {
			if values[m.name] == nil {
				values[m.name] = make(map[string]float64)
			}
			values[m.name][account] = m.read(&stats)
		}
	}
	all["api_calls_failed_total"], all["api_refusals_total"] = failed, codes
	for name, byAccount := range values {
		all[name] = byAccount
	}
}

func number[S any](all map[string]any, stats *S, metrics []metric[S], distributions []distribution[S]) {
	for _, m := range metrics {
		if v := m.read(stats); known(v) {
			all[m.name] = v
		}
	}
	for _, d := range distributions {
		all[d.name] = summarize(d.read(stats))
	}
}

// summary is a histogram in short. A quantile is the bound of its bucket, and left out
// if that has none.
type summary struct {
	Count uint64   `json:"count"`
	Sum   float64  `json:"sum"`
	P50   *float64 `json:"p50,omitempty"`
	P99   *float64 `json:"p99,omitempty"`
}

func summarize(h histogram.Snapshot) summary {
	quantile := func(q float64) *float64 {
		v := h.Quantile(q)
		if math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	return summary{h.Count(), h.Sum, quantile(0.5), quantile(0.99)}
}
