import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

/** The checks of README.md by kafka-clients; run as a single source file. */
public class Client {
    static final long BASE = Long.parseLong(System.getenv("BASE_MS"));
    static String bootstrap;

    public static void main(String[] a) throws Exception {
        bootstrap = a[0];
        switch (a[1]) {
            case "produce" -> produce(a[2], a[3], Integer.parseInt(a[4]));
            case "consume" -> consume(a[2], a[3], Integer.parseInt(a[4]));
            case "group" -> group(a[2], a[3]);
            case "txn" -> txn(a[2], Integer.parseInt(a[3]));
            case "admin" -> admin(a[2]);
            default -> System.exit(77);
        }
        System.exit(0);
    }

    static Map<String, Object> config(Object... pairs) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        String mechanism = System.getenv("KAFKA_SASL");
        if (mechanism != null) {
            String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
            m.put("security.protocol", "SASL_PLAINTEXT");
            m.put("sasl.mechanism", mechanism);
            m.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + System.getenv("KAFKA_USER")
                + "\" password=\"" + System.getenv("KAFKA_PASSWORD") + "\";");
        }
        for (int i = 0; i < pairs.length; i += 2) m.put((String) pairs[i], pairs[i + 1]);
        return m;
    }

    static void write(Producer<String, String> p, String topic, int n, boolean keys) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            var r = new ProducerRecord<>(topic, 0, BASE + i, keys ? "k" + i : null, "v" + i);
            r.headers().add("h", String.valueOf(i).getBytes(StandardCharsets.UTF_8));
            sent.add(p.send(r));
        }
        p.flush();
        for (var f : sent) f.get();
    }

    static void produce(String topic, String codec, int n) throws Exception {
        try (var p = new KafkaProducer<>(config("compression.type", codec), new StringSerializer(), new StringSerializer())) {
            write(p, topic, n, true);
        }
    }

    static void show(ConsumerRecord<String, String> r) {
        Header h = r.headers().lastHeader("h");
        System.out.println(r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t" + (r.key() == null ? "" : r.key()) + "\t"
            + r.value() + "\t" + (h == null ? "" : new String(h.value(), StandardCharsets.UTF_8)));
    }

    static void consume(String topic, String from, int n) {
        var config = config("isolation.level", "read_committed", "enable.auto.commit", false, "auto.offset.reset", "none");
        try (var c = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            var tp = new TopicPartition(topic, 0);
            c.assign(List.of(tp));
            if (from.startsWith("t")) {
                c.seek(tp, c.offsetsForTimes(Map.of(tp, Long.parseLong(from.substring(1)))).get(tp).offset());
            } else {
                c.seek(tp, Long.parseLong(from));
            }
            long deadline = System.currentTimeMillis() + 900_000;
            while (n > 0) {
                if (System.currentTimeMillis() > deadline) throw new IllegalStateException(n + " records are missing");
                for (var r : c.poll(Duration.ofMillis(500))) {
                    if (n-- > 0) show(r);
                }
            }
        }
    }

    static void group(String topic, String group) {
        var config = config("group.id", group, "auto.offset.reset", "earliest", "session.timeout.ms", 6000,
            "heartbeat.interval.ms", 500, "auto.commit.interval.ms", 200,
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        var c = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        c.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            public void onPartitionsRevoked(Collection<TopicPartition> p) { }
            public void onPartitionsAssigned(Collection<TopicPartition> p) {
                System.out.println("assigned " + p);
            }
        });
        while (true) {
            for (var r : c.poll(Duration.ofMillis(500))) show(r);
        }
    }

    static void txn(String topic, int n) throws Exception {
        try (var p = new KafkaProducer<>(config("transactional.id", "tx-" + topic), new StringSerializer(), new StringSerializer())) {
            p.initTransactions();
            p.beginTransaction();
            write(p, topic, n, false);
            p.abortTransaction();
            p.beginTransaction();
            write(p, topic, n, true);
            p.commitTransaction();
        }
    }

    static void check(boolean ok, String what) {
        if (!ok) throw new IllegalStateException(what);
    }

    static void admin(String topic) throws Exception {
        try (var a = Admin.create(config())) {
            a.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "86400000")))).all().get();
            try {
                a.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all().get();
                throw new IllegalStateException("a topic was made twice");
            } catch (ExecutionException e) {
                check(e.getCause() instanceof TopicExistsException, "made twice: " + e.getCause());
            }
            check(a.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 2, "partitions");
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            check(a.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value().equals("86400000"), "retention.ms");
            a.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "3600000"), AlterConfigOp.OpType.SET)))).all().get();
            check(a.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value().equals("3600000"), "retention.ms");
            a.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
            check(a.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 3, "partitions");
            var tp = new TopicPartition(topic, 0);
            check(a.listOffsets(Map.of(tp, OffsetSpec.latest())).all().get().get(tp).offset() == 0, "offset");
            a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(0))).all().get();
            a.listGroups().all().get();
            a.listTransactions().all().get();
            a.describeProducers(List.of(tp)).all().get();
            a.describeLogDirs(List.of(a.describeCluster().nodes().get().iterator().next().id())).allDescriptions().get();
            check(a.describeCluster().clusterId().get().length() > 10, "cluster id");
            a.deleteTopics(List.of(topic)).all().get();
            System.out.println("ok");
        }
    }
}
