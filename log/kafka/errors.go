package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sentinels are the errors of package log that stand for a protocol error
// here.
var sentinels = map[int16]error{
	kerr.OffsetOutOfRange.Code:           log.ErrOffsetRange,
	kerr.CorruptMessage.Code:             log.ErrCorrupt,
	kerr.UnknownTopicOrPartition.Code:    log.ErrUnknownTopic,
	kerr.UnknownTopicID.Code:             log.ErrUnknownTopic,
	kerr.InconsistentTopicID.Code:        log.ErrUnknownTopic,
	kerr.MessageTooLarge.Code:            log.ErrRecordTooLarge,
	kerr.RecordListTooLarge.Code:         log.ErrRecordTooLarge,
	kerr.InvalidTopicException.Code:      log.ErrInvalidTopic,
	kerr.TopicAlreadyExists.Code:         log.ErrTopicExists,
	kerr.InvalidPartitions.Code:          log.ErrPartitionsLimit,
	kerr.InvalidConfig.Code:              log.ErrInvalidConfig,
	kerr.PolicyViolation.Code:            log.ErrPolicy,
	kerr.InvalidTimestamp.Code:           log.ErrTimestamp,
	kerr.InvalidRecord.Code:              log.ErrInvalidRecord,
	kerr.UnsupportedCompressionType.Code: log.ErrCompression,
	kerr.ProducerFenced.Code:             log.ErrFenced,
	kerr.InvalidProducerEpoch.Code:       log.ErrFenced,
	kerr.InvalidTransactionTimeout.Code:  log.ErrTxnTimeout,
	kerr.InvalidTxnState.Code:            log.ErrTxnState,
	kerr.InvalidGroupID.Code:             log.ErrInvalidGroup,
	kerr.NonEmptyGroup.Code:              log.ErrNonEmptyGroup,
	kerr.OffsetMetadataTooLarge.Code:     log.ErrMetadataTooLarge,
}

// hints say what to do about errors that somebody who runs the cluster must
// mend.
var hints = map[int16]string{
	kerr.TopicAuthorizationFailed.Code:           "grant this principal READ, WRITE, CREATE, DELETE, DESCRIBE and DESCRIBE_CONFIGS on the topic",
	kerr.GroupAuthorizationFailed.Code:           "grant this principal READ and DELETE on the groups that begin with karst-",
	kerr.ClusterAuthorizationFailed.Code:         "grant this principal IDEMPOTENT_WRITE on the cluster",
	kerr.TransactionalIDAuthorizationFailed.Code: "grant this principal WRITE and DESCRIBE on the transactional ids that begin with karst-",
	kerr.SaslAuthenticationFailed.Code:           "check user and password of --log",
	kerr.UnsupportedSaslMechanism.Code:           "choose another mechanism with ?sasl= in --log",
	kerr.InvalidReplicationFactor.Code:           "the cluster has fewer brokers than its default.replication.factor; set ?replication= in --log",
	kerr.NotEnoughReplicas.Code:                  "fewer replicas are in sync than the topic's min.insync.replicas: see that all brokers are up",
	kerr.UnstableOffsetCommit.Code:               "if this lasts, a transaction hangs that its coordinator takes for ended: see kafka-transactions.sh find-hanging",
	kerr.InvalidTransactionTimeout.Code:          "the brokers' transaction.max.timeout.ms is less than ?transaction-timeout= in --log",
}

// codeError returns an error for a code in an answer; nil for 0.
func codeError(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil || message == nil || *message == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, *message)
}

// explain gives an error its sentinel and, where there is one, a hint.
func (l *Log) explain(err error) error {
	var k *kerr.Error
	if errors.As(err, &k) {
		s := sentinels[k.Code]
		if s == nil && passing(k) {
			s = log.ErrUnavailable // it may still pass
		}
		if s != nil && !errors.Is(err, s) {
			err = fmt.Errorf("%w: %w", s, err)
		}
		if hint := hints[k.Code]; hint != "" {
			err = fmt.Errorf("%w; %s", err, hint)
		}
		return err
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil, errors.Is(err, context.Canceled), log.Code(err) > 0, errors.Is(err, errShape):
	case errors.As(err, &certificate):
		err = fmt.Errorf("%w: %w; check ca= and server-name= of --log", log.ErrUnavailable, err)
	case errors.Is(err, kgo.ErrClientClosed):
		err = fmt.Errorf("%w: %w", log.ErrClosed, err)
	default:
		err = fmt.Errorf("%w: %w; see that the brokers are up and can be reached at the addresses they advertise", log.ErrUnavailable, err)
	}
	return err
}

// passing reports whether an error may be gone when the same is tried again.
func passing(err error) bool {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Retriable || k.Code == kerr.ConcurrentTransactions.Code || k.Code == kerr.UnstableOffsetCommit.Code
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed), log.Code(err) > 0, errors.Is(err, errShape), errors.As(err, &certificate):
		return false
	}
	return true // a connection
}

// moved reports whether an error says that a partition is led elsewhere, or
// that what is known of its topic is stale.
func moved(err error) bool {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.ReplicaNotAvailable, kerr.KafkaStorageError} {
		if errors.Is(err, e) {
			return true
		}
	}
	var k *kerr.Error
	return !errors.As(err, &k) // a connection
}

// A backoff is the waiting time between tries: 1 ms, doubling up to 500 ms.
type backoff struct{ tries int }

func (b *backoff) next() time.Duration {
	b.tries++
	return min(time.Millisecond<<min(b.tries-1, 10), 500*time.Millisecond)
}
