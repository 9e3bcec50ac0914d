package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"karst/server/wire"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// franzGo is the client of testdata/clients/kafka/README.md by franz-go.
func franzGo(ctx context.Context, addr string, saslEnv, args []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, clientPeriod)
	defer cancel()
	broker := []kgo.Opt{kgo.SeedBrokers(addr)}
	if saslEnv != nil {
		broker = append(broker, kgo.SASL(franzSASL(saslEnv)))
	}
	topic, rest := args[1], args[2:]
	number := func(i int) int {
		n, err := strconv.Atoi(rest[i])
		if err != nil {
			panic(err)
		}
		return n
	}
	switch args[0] {
	case "produce":
		return nil, franzProduce(ctx, broker, topic, rest[0], number(1))
	case "consume":
		return franzConsume(ctx, broker, topic, rest[0], number(1))
	case "txn":
		return nil, franzTxn(ctx, broker, topic, number(0))
	case "admin":
		return []string{"ok"}, franzAdmin(ctx, broker, topic)
	}
	return nil, errCannot
}

// franzSASL takes the variables that the other clients have in their environment.
func franzSASL(env []string) sasl.Mechanism {
	vars := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	user, password := vars["KAFKA_USER"], vars["KAFKA_PASSWORD"]
	switch vars["KAFKA_SASL"] {
	case wire.Plain:
		return plain.Auth{User: user, Pass: password}.AsMechanism()
	case wire.ScramSHA256:
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	}
	return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
}

func franzRecords(topic string, n int, keys bool) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		out[i] = &kgo.Record{
			Topic: topic, Value: fmt.Append(nil, "v", i), Timestamp: time.UnixMilli(int64(baseTime + i)),
			Headers: []kgo.RecordHeader{{Key: "h", Value: strconv.AppendInt(nil, int64(i), 10)}},
		}
		if keys {
			out[i].Key = fmt.Append(nil, "k", i)
		}
	}
	return out
}

func franzProduce(ctx context.Context, broker []kgo.Opt, topic, codec string, n int) error {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	cl, err := kgo.NewClient(append(broker, kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[codec]))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.ProduceSync(ctx, franzRecords(topic, n, true)...).FirstErr()
}

func franzLine(r *kgo.Record) string {
	header := ""
	for _, h := range r.Headers {
		header = string(h.Value)
	}
	return strings.Join([]string{
		strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.Offset, 10), strconv.FormatInt(r.Timestamp.UnixMilli(), 10), string(r.Key), string(r.Value), header,
	}, "\t")
}

func franzConsume(ctx context.Context, broker []kgo.Opt, topic, from string, n int) ([]string, error) {
	text, byTime := strings.CutPrefix(from, "t")
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, err
	}
	start := kgo.NewOffset().At(at)
	if byTime {
		start = kgo.NewOffset().AfterMilli(at)
	}
	cl, err := kgo.NewClient(append(broker, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: start}}))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var lines []string
	for len(lines) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return lines, fmt.Errorf("after %d of %d records: %w", len(lines), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if len(lines) < n {
				lines = append(lines, franzLine(r))
			}
		})
	}
	return lines, nil
}

func franzGroup(ctx context.Context, addr, topic, group string, line func(string)) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond), kgo.AutoCommitInterval(200*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { line(franzLine(r)) })
	}
}

func franzTxn(ctx context.Context, broker []kgo.Opt, topic string, n int) error {
	cl, err := kgo.NewClient(append(broker, kgo.AllowAutoTopicCreation(), kgo.TransactionalID("tx-"+topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(ctx, franzRecords(topic, n, bool(commit))...).FirstErr(); err != nil {
			return err
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			return err
		}
	}
	return nil
}

// franzAdmin does by plain requests what the others do by their admin clients.
func franzAdmin(ctx context.Context, broker []kgo.Opt, topic string) error {
	cl, err := kgo.NewClient(broker...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := createTopic(ctx, cl, topic, 2); err != nil {
		return err
	}
	if createTopic(ctx, cl, topic, 2) == nil {
		return errors.New("a topic was made twice")
	}
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	x := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	x.Name, x.Value = "retention.ms", kmsg.StringPtr("3600000")
	r.Configs = append(r.Configs, x)
	alter.Resources = append(alter.Resources, r)
	altered, err := alter.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if code := altered.Resources[0].ErrorCode; code != 0 {
		return fmt.Errorf("altering: code %d", code)
	}
	if got, err := franzRetention(ctx, cl, topic); err != nil || got != "3600000" {
		return fmt.Errorf("retention.ms is %q, %v", got, err)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	d := kmsg.NewDeleteTopicsRequestTopic()
	d.Topic = &topic
	del.Topics, del.TopicNames = append(del.Topics, d), []string{topic}
	deleted, err := del.RequestWith(ctx, cl)
	if err == nil && deleted.Topics[0].ErrorCode != 0 {
		err = fmt.Errorf("deleting: code %d", deleted.Topics[0].ErrorCode)
	}
	return err
}

func franzRetention(ctx context.Context, cl *kgo.Client, topic string) (string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{"retention.ms"}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return "", err
	}
	for _, c := range resp.Resources[0].Configs {
		return *c.Value, nil
	}
	return "", fmt.Errorf("code %d", resp.Resources[0].ErrorCode)
}
