package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// A Log is a Kafka cluster as a log.Log.
type Log struct {
	opts     Options
	client   *kgo.Client
	cluster  string // id
	features features
	topics   topicCache
	pipeline *pipeline
	watcher  *watcher

	// ctx ends with Close; what the Log's goroutines do hangs on it, and workers
	// counts them.
	ctx     context.Context
	stop    context.CancelFunc
	workers sync.WaitGroup
}

var _ log.Log = (*Log)(nil)

// features are what the cluster can do beyond what is taken for granted.
type features struct {
	txn2                 bool // transaction.version 2: KIP-890
	describeTransactions bool
}

// Open connects to a cluster. It fails if no broker answers within the
// context's time or Options.Patience.
func Open(ctx context.Context, opts Options) (*Log, error) {
	opts.setDefaults()
	l := &Log{opts: opts, topics: topicCache{known: map[string]*topic{}}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	var err error
	if l.features, err = l.probe(ctx); err != nil {
		return nil, err
	}
	if l.client, err = kgo.NewClient(l.clientOptions()...); err != nil {
		return nil, fmt.Errorf("setting up the connection to Kafka: %w", err)
	}
	if err := l.readClusterID(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	l.pipeline = newPipeline(l)
	if l.watcher, err = newWatcher(l); err != nil {
		l.client.Close()
		return nil, err
	}
	return l, nil
}

// probe asks what the cluster can do.
func (l *Log) probe(ctx context.Context) (features, error) {
	client, err := kgo.NewClient(append(l.opts.client(), kgo.RequestRetries(3))...)
	if err != nil {
		return features{}, fmt.Errorf("setting up the connection to Kafka: %w", err)
	}
	defer client.Close()
	var resp kmsg.Response
	err = l.retry(ctx, func(ctx context.Context) (err error) {
		resp, err = client.Request(ctx, kmsg.NewPtrApiVersionsRequest())
		return err
	})
	if err != nil {
		return features{}, fmt.Errorf("connecting to Kafka at %s: %w", strings.Join(l.opts.Brokers, ","), l.explain(err))
	}
	var f features
	versions := resp.(*kmsg.ApiVersionsResponse)
	for _, k := range versions.ApiKeys {
		f.describeTransactions = f.describeTransactions || k.ApiKey == int16(kmsg.DescribeTransactions)
	}
	for _, x := range versions.FinalizedFeatures {
		f.txn2 = f.txn2 || x.Name == "transaction.version" && x.MaxVersionLevel >= 2
	}
	return f, nil
}

func (l *Log) readClusterID(ctx context.Context) error {
	resp, err := request(ctx, l, noTopics(), func(*kmsg.MetadataResponse) error { return nil })
	if err != nil {
		return fmt.Errorf("asking for the brokers of the cluster: %w", err)
	}
	if resp.ClusterID == nil || strings.ContainsAny(*resp.ClusterID, "/\\") || *resp.ClusterID == "" {
		return errors.New("the cluster has no id that can name a directory")
	}
	l.cluster = *resp.ClusterID
	return nil
}

// ClusterID returns the cluster's id; it is fit to name a directory.
func (l *Log) ClusterID() string { return l.cluster }

// clientOptions holds the requests of transactions to versions that mean what
// the cluster's transaction.version says.
func (l *Log) clientOptions() []kgo.Opt {
	opts := l.opts.client()
	if l.features.txn2 {
		return opts
	}
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
	v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	return append(opts, kgo.MaxVersions(v))
}

// Close drops connections. Nobody may use the Log any more; what its writers have
// not ended, unless they were closed before, the cluster drops after TxnTimeout.
func (l *Log) Close() error {
	l.stop()
	l.workers.Wait()
	l.watcher.close()
	l.client.Close()
	return nil
}

// goWork runs a goroutine that Close waits for.
func (l *Log) goWork(f func()) { l.workers.Go(f) }

// sleep waits for a time, unless ctx or the Log ends before.
func (l *Log) sleep(ctx context.Context, b *backoff) error {
	return l.pause(ctx, b.next(), nil)
}

// pause is sleep for a given time, and ends when something comes from early.
func (l *Log) pause(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	over := make(chan struct{})
	stop := l.opts.Clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-early:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ctx.Done():
		return log.ErrClosed
	}
}

// alive derives a context that also ends with the Log.
func (l *Log) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// retry calls try until it does not fail in a way that passes, at most for
// Patience from the first time on that it does: a try that took long, perhaps
// because this process stood still, is no reason not to try again. The error says
// what was tried.
func (l *Log) retry(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := l.alive(ctx)
	defer cancel()
	var failing time.Time // since when, or zero
	var b backoff
	for {
		err := try(ctx)
		if err == nil || !passing(err) {
			return err
		}
		if ctx.Err() != nil {
			return l.ended(ctx)
		}
		now := l.opts.Clock.Now()
		if failing.IsZero() {
			failing = now
		}
		if now.Sub(failing) > l.opts.Patience {
			return fmt.Errorf("%w (tried for %s)", l.explain(err), l.opts.Patience)
		}
		if err := l.sleep(ctx, &b); err != nil {
			return l.ended(ctx)
		}
	}
}

// ended returns why a context from alive has ended.
func (l *Log) ended(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return log.ErrClosed
	}
	return ctx.Err()
}

// request sends a request by franz-go's routing, and again while it fails in a
// way that passes. check looks for errors within the answer.
func request[R kmsg.Response](ctx context.Context, l *Log, req kmsg.Request, check func(R) error) (R, error) {
	var resp R
	err := l.retry(ctx, func(ctx context.Context) error {
		r, err := l.client.Request(ctx, req)
		if err != nil {
			return err
		}
		resp = r.(R)
		return check(resp)
	})
	if err != nil {
		err = l.explain(err)
	}
	return resp, err
}

var errShape = errors.New("the broker's answer does not fit the request")
