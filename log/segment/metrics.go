package segment

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the log counts of itself; the rest is looked up when it is
// asked for, see Collect.
type metrics struct {
	commits     prometheus.Histogram
	checkpoints prometheus.Histogram
	batches     prometheus.Counter
	bytes       prometheus.Counter
	journal     prometheus.Counter
}

// diskBuckets are from 50 µs, which an fsync takes at least, to 13 s.
var diskBuckets = prometheus.ExponentialBuckets(50e-6, 2, 19)

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return metrics{
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "karst_log_commit_seconds", Buckets: diskBuckets,
			Help: "What a group commit took, from its first request's check until it was durable and visible."}),
		checkpoints: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "karst_log_checkpoint_seconds", Buckets: diskBuckets,
			Help: "What a checkpoint took beside the commits."}),
		batches: counter("karst_log_appended_batches_total", "Record batches appended."),
		bytes:   counter("karst_log_appended_bytes_total", "Bytes of record batches appended, as producers compressed them."),
		journal: counter("karst_log_journal_bytes_total", "Bytes written to the journal."),
	}
}

// seconds is how long ago began was, in s.
func (l *Log) seconds(began time.Time) float64 { return l.opts.time().Sub(began).Seconds() }

var (
	topicsDesc    = prometheus.NewDesc("karst_log_topics", "Topics.", nil, nil)
	partsDesc     = prometheus.NewDesc("karst_log_partitions", "Partitions of all topics.", nil, nil)
	offlineDesc   = prometheus.NewDesc("karst_log_offline_partitions", "Partitions whose files were found damaged.", nil, nil)
	groupsDesc    = prometheus.NewDesc("karst_log_groups", "Consumer groups that are remembered, those of queries too.", nil, nil)
	refusingDesc  = prometheus.NewDesc("karst_log_refusing", "1 while records are refused: the disk is full, or no file can be opened.", nil, nil)
	failedDesc    = prometheus.NewDesc("karst_log_failed", "1 once the log can't be written to until it is opened again.", nil, nil)
	topicSizeDesc = prometheus.NewDesc("karst_log_topic_bytes", "Bytes of record batches that a topic keeps.", []string{"topic"}, nil)
	topicEndDesc  = prometheus.NewDesc("karst_log_topic_end_offsets", "Sum of the end offsets of a topic's partitions: a record adds one.", []string{"topic"}, nil)
)

// Describe implements prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) {
	m := &l.metrics
	for _, c := range []prometheus.Metric{m.commits, m.checkpoints, m.batches, m.bytes, m.journal} {
		ch <- c.Desc()
	}
	for _, d := range []*prometheus.Desc{topicsDesc, partsDesc, offlineDesc, groupsDesc, refusingDesc, failedDesc, topicSizeDesc, topicEndDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	m := &l.metrics
	for _, c := range []prometheus.Metric{m.commits, m.checkpoints, m.batches, m.bytes, m.journal} {
		ch <- c
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	flag := func(d *prometheus.Desc, is bool) {
		v := int64(0)
		if is {
			v = 1
		}
		gauge(d, v)
	}
	flag(refusingDesc, l.full.Load() || l.noFiles.Load())
	flag(failedDesc, l.queue.failure() != nil)
	topics, partitions, groups := l.sizes()
	offline := 0
	for name, t := range topics {
		gauge(topicSizeDesc, t.bytes, name)
		gauge(topicEndDesc, t.ends, name)
		offline += t.offline
	}
	gauge(topicsDesc, int64(len(topics)))
	gauge(partsDesc, int64(partitions))
	gauge(offlineDesc, int64(offline))
	gauge(groupsDesc, int64(groups))
}

// topicSizes are those of a topic's partitions together.
type topicSizes struct {
	bytes, ends int64
	offline     int // partitions
}

// sizes looks at all topics. It holds up commits, so that nothing else is done
// meanwhile.
func (l *Log) sizes() (topics map[string]topicSizes, partitions, groups int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	topics = make(map[string]topicSizes, len(l.topics))
	for name, t := range l.topics {
		var sizes topicSizes
		for _, p := range t.partitions {
			p.mu.RLock()
			for _, s := range p.segments {
				sizes.bytes += s.size
			}
			sizes.ends += p.next
			if p.offline != nil {
				sizes.offline++
			}
			p.mu.RUnlock()
		}
		topics[name] = sizes
	}
	return topics, l.partitions, len(l.groups)
}
