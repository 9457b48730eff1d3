package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/echostr/echostr/callback"
)

// metric is one number of [callback.Stats] without labels.
type metric struct {
	name, help string
	gauge      bool
	read       func(*callback.Stats) float64
}

// metrics are listed in the package comment, too; a test compares them.
var metrics = []metric{
	{"pushes_total", "Verified pushes, retries included.", false, func(s *callback.Stats) float64 { return float64(s.Pushes) }},
	{"push_retries_total", "Pushes of a message that was known.", false, func(s *callback.Stats) float64 { return float64(s.Retries) }},
	{"push_replays_total", "Pushes that came too late to be retries.", false, func(s *callback.Stats) float64 { return float64(s.Replays) }},
	{"pushes_held_total", "Pushes left open beyond their window.", false, func(s *callback.Stats) float64 { return float64(s.Held) }},
	{"pushes_aborted_total", "Pushes that outlived WeChat's cut.", false, func(s *callback.Stats) float64 { return float64(s.Aborted) }},
	{"handler_starts_total", "Handler starts.", false, func(s *callback.Stats) float64 { return float64(s.Starts) }},
	{"handler_panics_total", "Handlers that panicked.", false, func(s *callback.Stats) float64 { return float64(s.Panics) }},
	{"url_checks_total", "Verified GETs.", false, func(s *callback.Stats) float64 { return float64(s.URLChecks) }},
	{"bare_gets_total", "GETs without any parameter of WeChat's.", false, func(s *callback.Stats) float64 { return float64(s.BareGets) }},
	{"empty_bodies_total", "Verified pushes without a body.", false, func(s *callback.Stats) float64 { return float64(s.EmptyBodies) }},
	{"unknown_paths_total", "Requests for no account.", false, func(s *callback.Stats) float64 { return float64(s.UnknownPath) }},
	{"other_methods_total", "Requests that are neither GET nor POST.", false, func(s *callback.Stats) float64 { return float64(s.OtherMethod) }},
	{"store_errors_total", "Failed calls of the store.", false, func(s *callback.Stats) float64 { return float64(s.StoreErrors) }},
	{"store_saves_total", "Commits that somebody waited for.", false, func(s *callback.Stats) float64 { return float64(s.Saves) }},
	{"store_save_seconds_total", "What the commits took together.", false, func(s *callback.Stats) float64 { return s.SaveTime.Seconds() }},
	{"pushes_open", "Open pushes.", true, func(s *callback.Stats) float64 { return float64(s.Waiting) }},
	{"handlers_running", "Handlers within their time.", true, func(s *callback.Stats) float64 { return float64(s.Running) }},
	{"handlers_abandoned", "Handlers that hang beyond their time.", true, func(s *callback.Stats) float64 { return float64(s.Abandoned) }},
}

const namespace = "echostr_"

var (
	refusedDesc     = prometheus.NewDesc(namespace+"pushes_refused_total", "Refused requests.", []string{"account", "reason"}, nil)
	answersDesc     = prometheus.NewDesc(namespace+"answers_total", "Answered pushes.", []string{"answer"}, nil)
	connectionsDesc = prometheus.NewDesc(namespace+"connections_refused_total", "Connections beyond the limits.", nil, nil)
	readyDesc       = prometheus.NewDesc(namespace+"ready", "1 if pushes can be accepted.", nil, nil)
	buildDesc       = prometheus.NewDesc(namespace+"build_info", "The version of the program.", []string{"version"}, nil)
)

// collector reads the numbers when they are asked for.
type collector struct {
	server *Server
	descs  []*prometheus.Desc // of metrics
}

func (s *Server) metrics() http.Handler {
	c := collector{server: s}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc(namespace+m.name, m.help, nil, nil))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Describe is part of prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range append(c.descs, refusedDesc, answersDesc, connectionsDesc, readyDesc, buildDesc) {
		out <- d
	}
}

// Collect is part of prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	stats := c.server.callback.Stats()
	for i, m := range metrics {
		kind := prometheus.CounterValue
		if m.gauge {
			kind = prometheus.GaugeValue
		}
		send(c.descs[i], kind, m.read(&stats))
	}
	for answer, n := range answers(&stats) {
		send(answersDesc, prometheus.CounterValue, float64(n), answer)
	}
	for account, reasons := range stats.Refused {
		for reason, n := range reasons {
			send(refusedDesc, prometheus.CounterValue, float64(n), account, reason)
		}
	}
	send(connectionsDesc, prometheus.CounterValue, float64(c.server.limited.count.Load()))
	ready := 0.0
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.ready(ctx) == nil {
		ready = 1
	}
	send(readyDesc, prometheus.GaugeValue, ready)
	send(buildDesc, prometheus.GaugeValue, 1, c.server.opts.Version)
}

func answers(s *callback.Stats) map[string]uint64 {
	return map[string]uint64{"reply": s.Replies, "fallback": s.Fallbacks, "success": s.Successes}
}
