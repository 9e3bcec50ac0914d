// The checks of README.md by segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

var (
	bootstrap = os.Args[1]
	ctx       = context.Background()
)

func base() int64 { n, _ := strconv.ParseInt(os.Getenv("BASE_MS"), 10, 64); return n }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(s string) int { n, err := strconv.Atoi(s); must(err); return n }

func show(m kafka.Message) {
	h := ""
	for _, x := range m.Headers {
		h = string(x.Value)
	}
	fmt.Printf("%d\t%d\t%d\t%s\t%s\t%s\n", m.Partition, m.Offset, m.Time.UnixMilli(), m.Key, m.Value, h)
}

// mechanism is how to authenticate, nil for not.
func mechanism() sasl.Mechanism {
	user, password := os.Getenv("KAFKA_USER"), os.Getenv("KAFKA_PASSWORD")
	hash := scram.SHA256
	switch os.Getenv("KAFKA_SASL") {
	case "":
		return nil
	case "PLAIN":
		return plain.Mechanism{Username: user, Password: password}
	case "SCRAM-SHA-512":
		hash = scram.SHA512
	}
	m, err := scram.Mechanism(hash, user, password)
	must(err)
	return m
}

func dialer() *kafka.Dialer {
	return &kafka.Dialer{Timeout: 15 * time.Minute, SASLMechanism: mechanism()}
}

var codecs = map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

func produce(topic, codec string, n int) {
	w := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
		Transport: &kafka.Transport{SASL: mechanism()}, AllowAutoTopicCreation: true,
		BatchTimeout: 5 * time.Millisecond, Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int { return 0 })}
	for i := 0; i < n; i += 500 {
		var list []kafka.Message
		for j := i; j < min(i+500, n); j++ {
			list = append(list, kafka.Message{Key: fmt.Append(nil, "k", j), Value: fmt.Append(nil, "v", j), Time: time.UnixMilli(base() + int64(j)),
				Headers: []kafka.Header{{Key: "h", Value: fmt.Append(nil, j)}}})
		}
		err := w.WriteMessages(ctx, list...)
		for end := time.Now().Add(15 * time.Minute); errors.Is(err, kafka.UnknownTopicOrPartition) && time.Now().Before(end); { // it has just been made
			err = w.WriteMessages(ctx, list...)
		}
		must(err)
	}
	must(w.Close())
}

func consume(topic, from string, n int) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, Partition: 0, Dialer: dialer(),
		IsolationLevel: kafka.ReadCommitted, MaxWait: 500 * time.Millisecond})
	if t, ok := strings.CutPrefix(from, "t"); ok {
		must(r.SetOffsetAt(ctx, time.UnixMilli(int64(number(t)))))
	} else {
		must(r.SetOffset(int64(number(from))))
	}
	for range n {
		c, cancel := context.WithTimeout(ctx, 15*time.Minute)
		m, err := r.ReadMessage(c)
		cancel()
		must(err)
		show(m)
	}
	must(r.Close())
}

func group(topic, name string) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, GroupID: name, Dialer: dialer(), Topic: topic,
		StartOffset: kafka.FirstOffset, SessionTimeout: 6 * time.Second,
		HeartbeatInterval: 500 * time.Millisecond, CommitInterval: 200 * time.Millisecond, MaxWait: 200 * time.Millisecond,
		ErrorLogger: kafka.LoggerFunc(func(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...) })})
	for {
		m, err := r.ReadMessage(ctx)
		must(err)
		show(m)
	}
}

func admin(topic string) {
	cl := &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: 15 * time.Minute}
	made, err := cl.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 2, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "86400000"}}}}})
	must(err)
	must(made.Errors[topic])
	retention := func() string {
		d, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
		must(err)
		return d.Resources[0].ConfigEntries[0].ConfigValue
	}
	check(retention() == "86400000", "retention.ms")
	_, err = cl.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{
			{Name: "retention.ms", Value: "3600000", ConfigOperation: kafka.ConfigOperationSet}}}}})
	must(err)
	check(retention() == "3600000", "retention.ms after the change")
	_, err = cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	must(err)
	fresh := &kafka.Client{Addr: cl.Addr, Timeout: cl.Timeout, Transport: &kafka.Transport{}} // cl remembers what it has heard
	m, err := fresh.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	must(err)
	check(len(m.Topics[0].Partitions) == 3, "partitions")
	_, err = cl.ListGroups(ctx, &kafka.ListGroupsRequest{})
	must(err)
	_, err = cl.ElectLeaders(ctx, &kafka.ElectLeadersRequest{Topic: topic, Partitions: []int{0}})
	must(err)
	_, err = cl.ListPartitionReassignments(ctx, &kafka.ListPartitionReassignmentsRequest{})
	must(err)
	_, err = cl.DescribeClientQuotas(ctx, &kafka.DescribeClientQuotasRequest{})
	must(err)
	gone, err := cl.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	must(err)
	must(gone.Errors[topic])
	fmt.Println("ok")
}

func check(ok bool, what string) {
	if !ok {
		must(errors.New(what))
	}
}

func main() {
	a := os.Args[3:]
	switch os.Args[2] {
	case "produce":
		produce(a[0], a[1], number(a[2]))
	case "consume":
		consume(a[0], a[1], number(a[2]))
	case "group":
		group(a[0], a[1])
	case "admin":
		admin(a[0])
	default:
		os.Exit(77)
	}
}
