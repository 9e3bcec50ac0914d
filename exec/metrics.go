package exec

import (
	"context"
	"time"

	"karst/log"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	query           = []string{"query"}
	queryStateDesc  = prometheus.NewDesc("karst_query_state", "1 for the state a persistent query is in: RUNNING, PAUSED or ERROR.", []string{"query", "state"}, nil)
	queryReadDesc   = prometheus.NewDesc("karst_query_read_records_total", "Records that a persistent query has read and committed since it was last opened.", query, nil)
	queryWriteDesc  = prometheus.NewDesc("karst_query_written_records_total", "Records that a persistent query has written and committed since it was last opened.", query, nil)
	queryFaultsDesc = prometheus.NewDesc("karst_query_faults_total", "Records that a persistent query could not process since it was started.", query, nil)
	queryLagDesc    = prometheus.NewDesc("karst_query_lag_records", "Committed records of its topics that a persistent query has not committed yet.", query, nil)
	pushesDesc      = prometheus.NewDesc("karst_push_queries", "Push queries that run.", nil, nil)
	pullsDesc       = prometheus.NewDesc("karst_pull_queries_total", "Pull queries on tables answered.", nil, nil)
	pullRowsDesc    = prometheus.NewDesc("karst_pull_rows_total", "Rows that pull queries on tables have read.", nil, nil)
	stateBytesDesc  = prometheus.NewDesc("karst_state_bytes", "Memory that the state of all queries takes.", nil, nil)
	stateLimitDesc  = prometheus.NewDesc("karst_state_limit_bytes", "Memory that the state of all queries may take, 0 if there is no limit.", nil, nil)
)

// Describe implements prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queryStateDesc, queryReadDesc, queryWriteDesc, queryFaultsDesc, queryLagDesc, pushesDesc, pullsDesc, pullRowsDesc, stateBytesDesc, stateLimitDesc} {
		ch <- d
	}
}

// lagTimeout is how long the log may take to tell where topics end; without an
// answer there is no lag in the metrics.
const lagTimeout = 5 * time.Second

// Collect implements prometheus.Collector.
func (e *Engine) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	e.mu.RLock()
	list := make([]*running, 0, len(e.queries))
	for _, r := range e.queries {
		list = append(list, r)
	}
	pushes := len(e.transients)
	e.mu.RUnlock()
	lag := e.lags(list)
	for _, r := range list {
		info := QueryInfo{State: string(r.query.State)}
		r.describe(&info)
		gauge(queryStateDesc, 1, r.id, info.State)
		faults := int64(0)
		for _, f := range info.Faults {
			faults += f.Count
		}
		count(queryFaultsDesc, faults, r.id)
		if unit := r.running(); unit != nil {
			n := unit.Counts()
			count(queryReadDesc, n.Consumed, r.id)
			count(queryWriteDesc, n.Produced, r.id)
		}
		if n, known := lag[r.id]; known {
			gauge(queryLagDesc, n, r.id)
		}
	}
	gauge(pushesDesc, int64(pushes))
	pulls, _, rows := e.PullCounts()
	count(pullsDesc, pulls)
	count(pullRowsDesc, rows)
	gauge(stateBytesDesc, e.memory.used.Load())
	gauge(stateLimitDesc, e.memory.limit)
}

// lags returns how many records each query is behind, of those for which that is
// known. Each topic is looked at once, however many queries read it.
func (e *Engine) lags(list []*running) map[string]int64 {
	ctx, cancel := context.WithTimeout(e.ctx, lagTimeout)
	defer cancel()
	out, ends := map[string]int64{}, map[string]map[log.Partition]int64{}
	for _, r := range list {
		unit := r.running()
		if unit == nil {
			continue
		}
		committed, lag, known := unit.Positions(), int64(0), true
		for topic := range r.topics {
			end, looked := ends[topic]
			if !looked {
				end, _ = e.ends(ctx, map[string]bool{topic: true})
				ends[topic] = end
			}
			known = known && end != nil
			for p, n := range end {
				lag += max(n-committed[p], 0)
			}
		}
		if known {
			out[r.id] = lag
		}
	}
	return out
}
