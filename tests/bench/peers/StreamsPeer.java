import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams, processor API, stores in memory with cache and changelog, as many threads as it is told.
 *
 * <p>It does: dedupe by (source, id) in a store, count the signals of each moment and segment in a store; at least
 * once. It does not: forget ids, keep time buckets, refuse events, bring a moment's partitions together (no second
 * hop), keep marginal series (summed afterwards). Its JIT warms up within the run: longer runs favour it.
 *
 * <p>Arguments: those of meter.Job, then the number of threads. The report is meter.Meter's, but with rows.
 */
public class StreamsPeer {
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static class Data {
    public String moment;
    public Map<String, String> segment;
    public String outcome = "ok";
    @JsonProperty("promised_by") public String promisedBy;
    @JsonProperty("need_met") public Boolean needMet;
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static class Event {
    public String id;
    public String source;
    public String time;
    public Data data;
  }

  static final int WIDTH = 6;
  static final AtomicLong received = new AtomicLong();
  static final AtomicLong duplicates = new AtomicLong();
  static final ObjectMapper mapper = new ObjectMapper();
  static volatile double began;
  static volatile double beganCpu;
  static volatile double ended;
  static volatile double endedCpu;

  static double cpu() {
    var bean = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return bean.getProcessCpuTime() / 1e9;
  }

  static String count(String row, Event e) {
    long[] n = new long[WIDTH];
    if (row != null) {
      String[] parts = row.split(" ");
      for (int i = 0; i < WIDTH; i++) n[i] = Long.parseLong(parts[i]);
    }
    boolean ok = e.data.outcome.equals("ok");
    n[ok ? 0 : 1]++;
    if (e.data.promisedBy != null) n[ok && e.time.compareTo(e.data.promisedBy) <= 0 ? 2 : 3]++;
    if (e.data.needMet != null) n[e.data.needMet ? 4 : 5]++;
    var out = new StringBuilder();
    for (long x : n) out.append(x).append(' ');
    return out.toString();
  }

  static class Counter implements Processor<byte[], byte[], Void, Void> {
    final ObjectReader reader = mapper.readerFor(Event.class);
    final long expect;
    KeyValueStore<String, String> ids;
    KeyValueStore<String, String> rows;

    Counter(long expect) {
      this.expect = expect;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      ids = context.getStateStore("ids");
      rows = context.getStateStore("rows");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      Event e;
      try {
        e = reader.readValue(record.value());
        if (ids.putIfAbsent(e.source + "|" + e.id, "") != null) {
          duplicates.incrementAndGet();
        } else {
          String key = e.data.moment + "|" + mapper.writeValueAsString(e.data.segment);
          rows.put(key, count(rows.get(key), e));
        }
      } catch (IOException x) {
        throw new RuntimeException(x);
      }
      long n = received.incrementAndGet();
      if (n == expect) {
        endedCpu = cpu();
        ended = System.currentTimeMillis() / 1000.0;
      }
    }
  }

  static StoreBuilder<KeyValueStore<String, String>> store(String name) {
    Serde<String> text = Serdes.String();
    return Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), text, text)
        .withCachingEnabled()
        .withLoggingEnabled(Map.of());
  }

  public static void main(String[] a) throws Exception {
    String topic = a[1];
    long expect = Long.parseLong(a[3]);
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[2]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, a[4] + "/state");
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.parseInt(a[6]));
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    p.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(store("ids"));
    builder.addStateStore(store("rows"));
    builder
        .stream(topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(() -> new Counter(expect), "ids", "rows");
    KafkaStreams streams = new KafkaStreams(builder.build(), p);
    streams.start();
    while (received.get() == 0) {
      beganCpu = cpu();
      began = System.currentTimeMillis() / 1000.0;
      Thread.sleep(2);
    }
    while (ended == 0) Thread.sleep(20);
    Thread.sleep(1500); // a commit goes by: the cache is in the changelog
    report(streams, Path.of(a[5]));
    Runtime.getRuntime().halt(0);
  }

  static void report(KafkaStreams streams, Path out) throws IOException {
    List<Object> rows = new ArrayList<>();
    var type = QueryableStoreTypes.<String, String>keyValueStore();
    var store = streams.store(StoreQueryParameters.fromNameAndType("rows", type));
    try (KeyValueIterator<String, String> all = store.all()) { // of all partitions: a key may come again
      while (all.hasNext()) {
        var row = all.next();
        int cut = row.key.indexOf('|');
        List<Long> counts = new ArrayList<>();
        for (String n : row.value.split(" ")) counts.add(Long.parseLong(n));
        rows.add(List.of(row.key.substring(0, cut), mapper.readTree(row.key.substring(cut + 1)), counts));
      }
    }
    String peak =
        Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(x -> x.startsWith("VmHWM"))
            .findFirst()
            .orElse("0")
            .replaceAll("\\D", "");
    Map<String, Object> report = new TreeMap<>();
    report.put("wall_s", ended - began);
    report.put("cpu_s", endedCpu - beganCpu);
    report.put("rss_mb", Long.parseLong(peak) / 1024.0);
    report.put("received", received.get());
    report.put("duplicates", duplicates.get());
    report.put("rows", rows);
    Path half = out.resolveSibling(out.getFileName() + ".half");
    mapper.writeValue(half.toFile(), report);
    Files.move(half, out);
  }
}
