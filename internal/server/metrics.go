package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/access"
	"postern/internal/names"
)

// metrics is the server's counters. The children are kept, so that counting
// is one atomic addition.
type metrics struct {
	registry  *prometheus.Registry
	requests  [names.Vault + 1]prometheus.Counter
	decisions [access.ByFlag + 1]prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postern_requests_total",
		Help: "Requests, by the plane their host name stands for."}, []string{"plane"})
	for p := range m.requests {
		m.requests[p] = requests.WithLabelValues(names.Plane(p).String())
	}
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postern_decisions_total",
		Help: "Decisions over requests to vaults, by reason."}, []string{"reason"})
	for r := range m.decisions {
		m.decisions[r] = decisions.WithLabelValues(access.Reason(r).String())
	}
	m.registry.MustRegister(requests, decisions, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postern_journal_broken",
			Help: "1 while the journal cannot be written and nothing is served."}, func() float64 {
			if s.journal.Broken() != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postern_vaults",
			Help: "Live vaults."}, func() float64 { return float64(len(s.estate.Snapshot().Vaults())) }))
	return m
}

func (m *metrics) request(p names.Plane) { m.requests[p].Inc() }

func (m *metrics) decided(d access.Decision) { m.decisions[d.Reason].Inc() }

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
