package wire

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metrics are what a Server counts of itself; the rest is looked up when it is
// asked for, see Collect.
type metrics struct {
	opened, refused, failedLogins prometheus.Counter
	received, sent                prometheus.Counter
	requests                      *prometheus.HistogramVec // by API
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return metrics{
		opened:       counter("karst_kafka_connections_opened_total", "Connections of Kafka clients."),
		refused:      counter("karst_kafka_connections_refused_total", "Connections of Kafka clients refused because there were too many."),
		failedLogins: counter("karst_kafka_failed_authentications_total", "Failed authentications of Kafka clients."),
		received:     counter("karst_kafka_received_bytes_total", "Bytes of requests from Kafka clients."),
		sent:         counter("karst_kafka_sent_bytes_total", "Bytes of answers to Kafka clients."),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "karst_kafka_request_seconds", Buckets: prometheus.ExponentialBuckets(100e-6, 4, 9),
			Help: "From when a Kafka client's request was read until its answer was made; a Fetch waits for records as long as it asks to."}, []string{"api"}),
	}
}

// answered takes down a request that was read at began.
func (m *metrics) answered(key int16, began, now time.Time) {
	m.requests.WithLabelValues(kmsg.NameForKey(key)).Observe(now.Sub(began).Seconds())
}

var (
	connectionsDesc = prometheus.NewDesc("karst_kafka_connections", "Connections of Kafka clients that are open.", nil, nil)
	memoryDesc      = prometheus.NewDesc("karst_kafka_memory_bytes", "Bytes that requests and answers under way take, about.", nil, nil)
)

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.opened, m.refused, m.failedLogins, m.received, m.sent, m.requests}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.metrics.collectors() {
		c.Describe(ch)
	}
	ch <- connectionsDesc
	ch <- memoryDesc
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	for _, c := range s.metrics.collectors() {
		c.Collect(ch)
	}
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(open))
	ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(s.opts.MaxMemory-s.memory.free()))
}
