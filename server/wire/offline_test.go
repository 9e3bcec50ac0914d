package wire

import (
	"context"
	"slices"
	"testing"

	"karst/log"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offlineBench is a server over a log with topic t, whose partition 0 is
// offline: its segment is gone. Partition 1 has one record.
func offlineBench(t *testing.T) *bench {
	fs, n := vfs.NewMem(), uint64(100)
	l, err := segment.Open(segment.Options{FS: fs, Dir: "log", Rand: func() uint64 { n++; return n }, Clock: testClock{}})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := l.CreateTopic(context.Background(), "t", 2, nil)
	for i := range int32(2) {
		if err == nil {
			err = l.Produce(context.Background(), []log.Append{{Partition: log.Partition{Topic: "t", Index: i}, Batch: batch(nil, 0, false, "before")}})
		}
	}
	if err == nil {
		err = l.Close()
	}
	if err == nil {
		err = fs.RemoveAll("log/topics/" + topic.ID.String() + "/0")
	}
	if err != nil {
		t.Fatal(err)
	}
	return newBenchOver(t, func(o *segment.Options) { o.FS = fs }, nil)
}

// TestOfflinePartition has the answers of Apache Kafka 4.3.1 for a partition in
// a log directory that is offline, and right ones for the partition beside it.
func TestOfflinePartition(t *testing.T) {
	b := offlineBench(t)
	c := b.dial()
	name := "t"
	m := kmsg.NewPtrMetadataRequest()
	m.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	topic := ask[*kmsg.MetadataResponse](c, 12, m).Topics[0]
	if p := topic.Partitions[0]; topic.ErrorCode != 0 || p.ErrorCode != 5 || p.Leader != -1 || len(p.ISR) != 0 ||
		!slices.Equal(p.Replicas, []int32{nodeID}) || !slices.Equal(p.OfflineReplicas, []int32{nodeID}) {
		t.Errorf("metadata: %d, %+v", topic.ErrorCode, p)
	}
	if p := topic.Partitions[1]; p.ErrorCode != 0 || p.Leader != nodeID || len(p.OfflineReplicas) != 0 || p.LeaderEpoch != topic.Partitions[0].LeaderEpoch {
		t.Errorf("metadata of the one beside it: %+v", p)
	}
	d := kmsg.NewPtrDescribeTopicPartitionsRequest()
	d.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: name}}
	d.ResponsePartitionLimit = 10
	if p := ask[*kmsg.DescribeTopicPartitionsResponse](c, 0, d).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderID != -1 || len(p.ISR) != 0 ||
		len(p.EligibleLeaderReplicas) != 0 || !slices.Equal(p.LastKnownELR, []int32{nodeID}) || !slices.Equal(p.OfflineReplicas, []int32{nodeID}) {
		t.Errorf("description: %+v", p)
	}
	for kind, want := range []int16{80, 83} {
		el := kmsg.NewPtrElectLeadersRequest()
		el.ElectionType, el.Topics = int8(kind), []kmsg.ElectLeadersRequestTopic{{Topic: name, Partitions: []int32{0}}}
		if p := ask[*kmsg.ElectLeadersResponse](c, 2, el).Topics[0].Partitions[0]; p.ErrorCode != want {
			t.Errorf("election of type %d: code %d, want %d", kind, p.ErrorCode, want)
		}
	}
	for i, want := range []int16{56, 0} {
		i := int32(i)
		codes := map[string]int16{"Produce": c.produce(9, name, i, batch(nil, 0, false, "x")).ErrorCode}
		l := kmsg.NewPtrListOffsetsRequest()
		l.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: i, CurrentLeaderEpoch: -1, Timestamp: -1}}}}
		codes["ListOffsets"] = ask[*kmsg.ListOffsetsResponse](c, 7, l).Topics[0].Partitions[0].ErrorCode
		f := fetchRequestOf(name, 0)
		f.MaxWaitMillis, f.MinBytes = 60_000, 1 // it must not wait
		f.Topics[0].Partitions[0].Partition = i
		fetched := ask[*kmsg.FetchResponse](c, 12, f).Topics[0].Partitions[0]
		codes["Fetch"] = fetched.ErrorCode
		if got := values(t, &fetched); want == 0 && !slices.Equal(got, []string{"before", "x"}) {
			t.Errorf("records beside it: %q", got)
		}
		e := kmsg.NewPtrOffsetForLeaderEpochRequest()
		e.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{Partition: i, CurrentLeaderEpoch: -1}}}}
		codes["OffsetForLeaderEpoch"] = ask[*kmsg.OffsetForLeaderEpochResponse](c, 4, e).Topics[0].Partitions[0].ErrorCode
		x := kmsg.NewPtrDeleteRecordsRequest()
		x.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: i}}}}
		codes["DeleteRecords"] = ask[*kmsg.DeleteRecordsResponse](c, 2, x).Topics[0].Partitions[0].ErrorCode
		p := kmsg.NewPtrDescribeProducersRequest()
		p.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: name, Partitions: []int32{i}}}
		codes["DescribeProducers"] = ask[*kmsg.DescribeProducersResponse](c, 0, p).Topics[0].Partitions[0].ErrorCode
		for api, code := range codes {
			if code != want {
				t.Errorf("%s of partition %d: code %d, want %d", api, i, code, want)
			}
		}
	}
	dir := ask[*kmsg.DescribeLogDirsResponse](c, 1, kmsg.NewPtrDescribeLogDirsRequest()).Dirs[0]
	if len(dir.Topics) != 1 || len(dir.Topics[0].Partitions) != 1 || dir.Topics[0].Partitions[0].Partition != 1 {
		t.Errorf("log directory: %+v", dir)
	}
}

// TestOfflineTransaction makes a partition that is offline part of a
// transaction, and offsets of it: as on Apache Kafka that is taken, and the
// transaction ends.
func TestOfflineTransaction(t *testing.T) {
	b := offlineBench(t)
	c := b.dial()
	p := initTxn(c, "x")
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = "x", p.ID, p.Epoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
	for _, q := range ask[*kmsg.AddPartitionsToTxnResponse](c, 3, add).Topics[0].Partitions {
		if q.ErrorCode != 0 {
			t.Errorf("adding partition %d: code %d", q.Partition, q.ErrorCode)
		}
	}
	for i, want := range []int16{56, 0} {
		req := produceRequestOf("t", int32(i), batch(&p, 0, true, "in it"))
		req.TransactionID = kmsg.StringPtr("x")
		if code := ask[*kmsg.ProduceResponse](c, 11, req).Topics[0].Partitions[0].ErrorCode; code != want {
			t.Errorf("writing to partition %d: code %d, want %d", i, code, want)
		}
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", p.ID, p.Epoch, true
	if code := ask[*kmsg.EndTxnResponse](c, 3, end).ErrorCode; code != 0 {
		t.Errorf("ending: code %d", code)
	}
	req := fetchRequestOf("t", 0)
	req.Topics[0].Partitions[0].Partition, req.IsolationLevel = 1, 1
	if got := values(t, &ask[*kmsg.FetchResponse](c, 12, req).Topics[0].Partitions[0]); !slices.Equal(got, []string{"before", "in it"}) {
		t.Errorf("records beside it: %q", got)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = "g", -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
	if code := ask[*kmsg.OffsetCommitResponse](c, 8, commit).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Errorf("committing an offset: code %d", code)
	}
}
