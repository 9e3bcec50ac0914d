package kafka

import (
	"crypto/tls"
	"log/slog"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// Options of a connection to a cluster. Brokers and Clock must be given; the
// zero value of every other field is a sensible default.
type Options struct {
	Brokers  []string // host:port of some of the cluster's brokers
	ClientID string   // as brokers log it; karst
	TLS      *tls.Config
	SASL     sasl.Mechanism
	Logger   *slog.Logger
	Clock    log.Clock

	// Replication of the topics that are made; -1, the cluster's own default.
	Replication int16
	// Compression of the batches that are sent; they go as they come otherwise.
	Compression log.Codec
	// Patience is how long requests are repeated before they fail; 30 s.
	Patience time.Duration
	// TxnTimeout is how long the cluster keeps a transaction of a writer that
	// was lost; 60 s.
	TxnTimeout time.Duration
	// FetchBytes bounds what one answer to a fetch may bring, and a quarter of it
	// what one long poll may; 32 MiB.
	FetchBytes int32
	// WriterBytes bounds what waits in a writer to be sent; Append waits when it
	// is exceeded; 64 MiB.
	WriterBytes int
}

func (o *Options) setDefaults() {
	if o.ClientID == "" {
		o.ClientID = "karst"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Replication == 0 {
		o.Replication = -1
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.TxnTimeout == 0 {
		o.TxnTimeout = 60 * time.Second
	}
	if o.FetchBytes == 0 {
		o.FetchBytes = 32 << 20
	}
	if o.WriterBytes == 0 {
		o.WriterBytes = 64 << 20
	}
}

// client returns the options of a franz-go client.
func (o *Options) client() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID(o.ClientID),
		kgo.WithLogger(clientLog{o.Logger}),
		kgo.RetryTimeout(o.Patience),
		kgo.BrokerMaxReadBytes(max(4*o.FetchBytes, 100<<20)),
		kgo.DisableClientMetrics(),
	}
	if o.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(o.TLS))
	}
	if o.SASL != nil {
		opts = append(opts, kgo.SASL(o.SASL))
	}
	return opts
}

// A clientLog passes on what franz-go has to say; it repeats itself while a
// broker is away, so even its errors are no more than information here.
type clientLog struct{ to *slog.Logger }

// Level implements kgo.Logger.
func (l clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level == kgo.LogLevelError || level == kgo.LogLevelWarn {
		l.to.Info(msg, keyvals...)
	}
}
