// The checks of README.md by Sarama.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

var bootstrap = []string{os.Args[1]}

func base() int64 { n, _ := strconv.ParseInt(os.Getenv("BASE_MS"), 10, 64); return n }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(s string) int { n, err := strconv.Atoi(s); must(err); return n }

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	if m := os.Getenv("KAFKA_SASL"); m != "" {
		c.Net.SASL.Enable, c.Net.SASL.Mechanism = true, sarama.SASLMechanism(m)
		c.Net.SASL.User, c.Net.SASL.Password = os.Getenv("KAFKA_USER"), os.Getenv("KAFKA_PASSWORD")
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
			if m == sarama.SASLTypeSCRAMSHA256 {
				return &conversation{hash: scram.SHA256}
			}
			return &conversation{hash: scram.SHA512}
		}
	}
	return c
}

// A conversation is how Sarama wants to authenticate by SCRAM.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (c *conversation) Begin(user, password, id string) error {
	client, err := c.hash.NewClient(user, password, id)
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}

func write(p sarama.SyncProducer, topic string, n int, keys bool) {
	for i := 0; i < n; i += 500 {
		var list []*sarama.ProducerMessage
		for j := i; j < min(i+500, n); j++ {
			m := &sarama.ProducerMessage{Topic: topic, Partition: 0, Value: sarama.StringEncoder(fmt.Sprint("v", j)), Timestamp: time.UnixMilli(base() + int64(j)),
				Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(fmt.Sprint(j))}}}
			if keys {
				m.Key = sarama.StringEncoder(fmt.Sprint("k", j))
			}
			list = append(list, m)
		}
		must(p.SendMessages(list))
	}
}

func show(m *sarama.ConsumerMessage) {
	h := ""
	for _, x := range m.Headers {
		h = string(x.Value)
	}
	fmt.Printf("%d\t%d\t%d\t%s\t%s\t%s\n", m.Partition, m.Offset, m.Timestamp.UnixMilli(), m.Key, m.Value, h)
}

func produce(topic, codec string, n int) {
	c := config()
	must(c.Producer.Compression.UnmarshalText([]byte(codec)))
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	p, err := sarama.NewSyncProducer(bootstrap, c)
	must(err)
	write(p, topic, n, true)
	must(p.Close())
}

func consume(topic, from string, n int) {
	cl, err := sarama.NewClient(bootstrap, config())
	must(err)
	var at int64
	if t, ok := strings.CutPrefix(from, "t"); ok {
		at, err = cl.GetOffset(topic, 0, int64(number(t)))
		must(err)
	} else {
		at = int64(number(from))
	}
	c, err := sarama.NewConsumerFromClient(cl)
	must(err)
	pc, err := c.ConsumePartition(topic, 0, at)
	must(err)
	for range n {
		select {
		case m := <-pc.Messages():
			show(m)
		case <-time.After(15 * time.Minute):
			must(fmt.Errorf("records are missing"))
		}
	}
	must(cl.Close())
}

type member struct{}

func (member) Setup(s sarama.ConsumerGroupSession) error {
	fmt.Println("assigned", s.Claims())
	return nil
}
func (member) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (member) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for m := range c.Messages() {
		show(m)
		s.MarkMessage(m, "")
	}
	return nil
}

func group(topic, name string) {
	g, err := sarama.NewConsumerGroup(bootstrap, name, config())
	must(err)
	for {
		must(g.Consume(context.Background(), []string{topic}, member{}))
	}
}

func txn(topic string, n int) {
	c := config()
	c.Producer.Idempotent, c.Producer.Transaction.ID, c.Net.MaxOpenRequests = true, "tx-"+topic, 1
	p, err := sarama.NewSyncProducer(bootstrap, c)
	must(err)
	must(p.BeginTxn())
	write(p, topic, n, false)
	must(p.AbortTxn())
	must(p.BeginTxn())
	write(p, topic, n, true)
	must(p.CommitTxn())
	must(p.Close())
}

func admin(topic string) {
	a, err := sarama.NewClusterAdmin(bootstrap, config())
	must(err)
	day, hour := "86400000", "3600000"
	must(a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &day}}, false))
	retention := func() string {
		list, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		must(err)
		return list[0].Value
	}
	check(retention() == day, "retention.ms")
	must(a.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &hour}}, false))
	check(retention() == hour, "retention.ms after the change")
	must(a.CreatePartitions(topic, 3, nil, false))
	d, err := a.DescribeTopics([]string{topic})
	must(err)
	check(len(d[0].Partitions) == 3, "partitions")
	_, err = a.ListConsumerGroups()
	must(err)
	b, _, err := a.DescribeCluster()
	must(err)
	check(len(b) == 1, "brokers")
	_, err = a.DescribeLogDirs([]int32{b[0].ID()})
	must(err)
	must(a.DeleteRecords(topic, map[int32]int64{0: 0}))
	_, err = a.ListPartitionReassignments(topic, []int32{0})
	must(err)
	must(a.DeleteTopic(topic))
	fmt.Println("ok")
}

func check(ok bool, what string) {
	if !ok {
		must(fmt.Errorf("%s", what))
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
	case "txn":
		txn(a[0], number(a[1]))
	case "admin":
		admin(a[0])
	default:
		os.Exit(77)
	}
}
