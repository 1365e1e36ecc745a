import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
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
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.PunctuationType;
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
 * <p>One stage: dedupe by (source, id) in a store, count the signals of each moment, segment and minute in a store; at
 * least once. Two stages: besides, what changed is sent on every 0.4 s, keyed by moment, as absolute rows; whoever owns
 * the moment adds what they grew by to marginal series, by minute. It does not: forget ids or minutes (molehill keeps
 * those that a window still needs), refuse events, survive a crash without counting twice. Its JIT warms up within the
 * run: longer runs favour it.
 *
 * <p>Arguments: those of meter.Job, the number of threads, the number of stages. The report is meter.Meter's, but with
 * rows.
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
  static final AtomicLong merged = new AtomicLong();
  static final byte[] ONE = {1};
  static final ObjectMapper mapper = new ObjectMapper();
  static volatile double began;
  static volatile double beganCpu;
  static volatile double ended;
  static volatile double endedCpu;

  static double cpu() {
    var bean = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return bean.getProcessCpuTime() / 1e9;
  }

  static byte[] plus(byte[] row, byte[] other, int sign) {
    ByteBuffer sum = ByteBuffer.allocate(WIDTH * 8);
    ByteBuffer one = row == null ? ByteBuffer.allocate(WIDTH * 8) : ByteBuffer.wrap(row);
    ByteBuffer two = ByteBuffer.wrap(other);
    for (int i = 0; i < WIDTH; i++) sum.putLong(one.getLong() + sign * two.getLong());
    return sum.array();
  }

  static byte[] count(byte[] row, Event e) {
    ByteBuffer n = row == null ? ByteBuffer.allocate(WIDTH * 8) : ByteBuffer.wrap(row.clone());
    boolean ok = e.data.outcome.equals("ok");
    one(n, ok ? 0 : 1);
    if (e.data.promisedBy != null) one(n, ok && e.time.compareTo(e.data.promisedBy) <= 0 ? 2 : 3);
    if (e.data.needMet != null) one(n, e.data.needMet ? 4 : 5);
    return n.array();
  }

  static void one(ByteBuffer row, int place) {
    row.putLong(place * 8, row.getLong(place * 8) + 1);
  }

  static void end() {
    if (ended == 0) {
      endedCpu = cpu();
      ended = System.currentTimeMillis() / 1000.0;
    }
  }

  /** The first stage. Keys of rows: minute, moment, segment, between bars. */
  static class Counter implements Processor<byte[], byte[], String, byte[]> {
    final ObjectReader reader = mapper.readerFor(Event.class);
    final long expect;
    final boolean last;
    final Map<String, byte[]> changed = new HashMap<>();
    KeyValueStore<String, byte[]> ids;
    KeyValueStore<String, byte[]> rows;
    ProcessorContext<String, byte[]> context;

    Counter(long expect, boolean last) {
      this.expect = expect;
      this.last = last;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      ids = context.getStateStore("ids");
      rows = context.getStateStore("rows");
      if (!last) context.schedule(Duration.ofMillis(400), PunctuationType.WALL_CLOCK_TIME, this::tell);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      Event e;
      try {
        e = reader.readValue(record.value());
        if (ids.putIfAbsent(e.source + "|" + e.id, ONE) != null) {
          duplicates.incrementAndGet();
        } else {
          String segment = mapper.writeValueAsString(e.data.segment);
          String key = e.time.substring(0, 16) + "|" + e.data.moment + "|" + segment;
          byte[] row = count(rows.get(key), e);
          rows.put(key, row);
          if (!last) changed.put(key, row);
        }
      } catch (IOException x) {
        throw new RuntimeException(x);
      }
      if (received.incrementAndGet() == expect && last) end();
    }

    /** A message: the length of its key, `partition|key`, the row. */
    void tell(long now) {
      int partition = context.taskId().partition();
      changed.forEach(
          (key, row) -> {
            byte[] name = (partition + "|" + key).getBytes(StandardCharsets.UTF_8);
            ByteBuffer out = ByteBuffer.allocate(4 + name.length + row.length);
            out.putInt(name.length).put(name).put(row);
            context.forward(new Record<>(key.split("\\|", 3)[1], out.array(), now));
          });
      changed.clear();
    }
  }

  /** The second stage: what each source has told, and marginal series of what that adds up to. */
  static class Merger implements Processor<String, byte[], Void, Void> {
    final long expect;
    final Map<String, List<String>> marginals = new HashMap<>();
    KeyValueStore<String, byte[]> told;
    KeyValueStore<String, byte[]> series;

    Merger(long expect) {
      this.expect = expect;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      told = context.getStateStore("told");
      series = context.getStateStore("series");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      ByteBuffer in = ByteBuffer.wrap(record.value());
      byte[] name = new byte[in.getInt()];
      in.get(name);
      byte[] row = new byte[WIDTH * 8];
      in.get(row);
      String key = new String(name, StandardCharsets.UTF_8);
      byte[] before = told.get(key);
      byte[] grown = before == null ? row : plus(row, before, -1);
      told.put(key, row);
      String[] parts = key.split("\\|", 4); // partition, minute, moment, segment
      for (String segment : marginals.computeIfAbsent(parts[3], Merger::of)) {
        String one = parts[1] + "|" + parts[2] + "|" + segment;
        series.put(one, plus(series.get(one), grown, 1));
      }
      ByteBuffer n = ByteBuffer.wrap(grown);
      if (merged.addAndGet(n.getLong() + n.getLong()) + duplicates.get() == expect) end();
    }

    static List<String> of(String segment) {
      try {
        List<String> out = new ArrayList<>(List.of("{}"));
        for (var e : mapper.readValue(segment, new TypeReference<Map<String, String>>() {}).entrySet())
          out.add(mapper.writeValueAsString(Map.of(e.getKey(), e.getValue())));
        return out;
      } catch (IOException x) {
        throw new RuntimeException(x);
      }
    }
  }

  static StoreBuilder<KeyValueStore<String, byte[]>> store(String name) {
    return Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), Serdes.ByteArray())
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
    boolean two = a[7].equals("2");
    var counted =
        builder
            .stream(topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .process(() -> new Counter(expect, !two), "ids", "rows");
    if (two) {
      builder.addStateStore(store("told"));
      builder.addStateStore(store("series"));
      counted
          .repartition(Repartitioned.<String, byte[]>as("changed").withKeySerde(Serdes.String())
              .withValueSerde(Serdes.ByteArray()).withNumberOfPartitions(4))
          .process(() -> new Merger(expect), "told", "series");
    }
    KafkaStreams streams = new KafkaStreams(builder.build(), p);
    streams.start();
    while (received.get() == 0) {
      beganCpu = cpu();
      began = System.currentTimeMillis() / 1000.0;
      Thread.sleep(2);
    }
    while (ended == 0) Thread.sleep(20);
    Thread.sleep(1500); // a commit goes by: the cache is in the changelog
    report(streams, two, Path.of(a[5]));
    Runtime.getRuntime().halt(0);
  }

  /** Rows by (moment, segment): minutes and partitions are added up. Those of series are marginal: `{}` is all. */
  static void report(KafkaStreams streams, boolean two, Path out) throws IOException {
    Map<String, byte[]> sums = new TreeMap<>();
    var type = QueryableStoreTypes.<String, byte[]>keyValueStore();
    var store = streams.store(StoreQueryParameters.fromNameAndType(two ? "series" : "rows", type));
    try (KeyValueIterator<String, byte[]> all = store.all()) {
      while (all.hasNext()) {
        var row = all.next();
        sums.merge(row.key.split("\\|", 2)[1], row.value, (x, y) -> plus(x, y, 1));
      }
    }
    List<Object> rows = new ArrayList<>();
    for (var e : sums.entrySet()) {
      String[] key = e.getKey().split("\\|", 2);
      List<Long> counts = new ArrayList<>();
      ByteBuffer n = ByteBuffer.wrap(e.getValue());
      for (int i = 0; i < WIDTH; i++) counts.add(n.getLong());
      rows.add(List.of(key[0], mapper.readTree(key[1]), counts));
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
    report.put(two ? "marginals" : "rows", rows);
    Path half = out.resolveSibling(out.getFileName() + ".half");
    mapper.writeValue(half.toFile(), report);
    Files.move(half, out);
  }
}
