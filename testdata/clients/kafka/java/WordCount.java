import java.util.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

/** Counts words exactly once, by Kafka Streams: BOOTSTRAP APPLICATION INPUT OUTPUT DIRECTORY. */
public class WordCount {
    public static void main(String[] a) {
        Properties p = new Properties();
        p.put("bootstrap.servers", a[0]);
        p.put("application.id", a[1]);
        p.put("state.dir", a[4]);
        p.put("processing.guarantee", "exactly_once_v2");
        p.put("commit.interval.ms", 100);
        p.put("replication.factor", 1);
        p.put("num.stream.threads", 2);
        p.put("default.key.serde", Serdes.StringSerde.class);
        p.put("default.value.serde", Serdes.StringSerde.class);
        p.put("main.consumer.session.timeout.ms", 6000);
        p.put("main.consumer.heartbeat.interval.ms", 500);
        p.put("main.consumer.auto.offset.reset", "earliest");
        StreamsBuilder b = new StreamsBuilder();
        b.<String, String>stream(a[2])
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((k, word) -> word)
            .count()
            .toStream()
            .mapValues(String::valueOf)
            .to(a[3]);
        KafkaStreams streams = new KafkaStreams(b.build(), p);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
    }
}
