package server

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what GET /metrics tells of.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec // by endpoint
	handler  func() http.Handler
}

func newMetrics() metrics {
	m := metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "karst_http_requests_total", Help: "HTTP requests that have ended, by endpoint."}, []string{"endpoint"}),
	}
	m.registry.MustRegister(m.requests)
	// The collector of Go's own takes 4 MiB, which a server that nobody watches
	// need not have.
	m.handler = sync.OnceValue(func() http.Handler {
		m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	})
	return m
}

// Collect has GET /metrics tell what c collects. It must be called before requests
// are served, once for each kind of collector.
func (s *Server) Collect(c prometheus.Collector) { s.metrics.registry.MustRegister(c) }

// metricsText answers GET /metrics in Prometheus' formats.
func (s *Server) metricsText(w http.ResponseWriter, r *http.Request) {
	s.metrics.handler().ServeHTTP(w, r)
}

// ended counts a request. One for what there is not counts as that, whatever it
// asked for.
func (m *metrics) ended(r *http.Request) {
	endpoint := r.Pattern
	if endpoint == "/" || endpoint == "" {
		endpoint = "none"
	}
	m.requests.WithLabelValues(endpoint).Inc()
}
