import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.bytes.BytesStore;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.ExcerptTailer;

/**
 * Does the benchmarks' work on one Chronicle Queue. Each line on standard input is an operation and its numbers, and is answered
 * by one line: "ok", or the nanoseconds that each append took, separated by spaces.
 */
public final class Workloads {
    /** So many that Java has compiled what is measured. */
    private static final int WARM_UP_EVENTS = 20_000;

    private final ChronicleQueue queue;
    private final ExcerptAppender appender;
    private final Bytes<?> scratch = Bytes.allocateElasticDirect();
    private long firstIndex = -1;

    private Workloads(Path directory) {
        queue = ChronicleQueue.single(directory.toString());
        appender = queue.createAppender();
    }

    public static void main(String[] arguments) throws IOException {
        Path directory = Path.of(arguments[0]);
        Workloads unmeasured = new Workloads(directory.resolve("warm-up"));
        for (String operation : List.of("append", "read", "consume", "append_timed", "seek")) {
            unmeasured.perform(operation, WARM_UP_EVENTS, operation.equals("seek") ? WARM_UP_EVENTS : 100);
        }
        unmeasured.queue.close();
        Workloads workloads = new Workloads(directory.resolve("queue"));
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ok");
        for (String line; (line = input.readLine()) != null; ) {
            String[] words = line.split(" ");
            System.out.println(workloads.perform(words[0], Integer.parseInt(words[1]), Integer.parseInt(words[2])));
        }
        workloads.queue.close();
    }

    private String perform(String operation, int count, int number) {
        return switch (operation) {
            case "append" -> append(count, value(number));
            case "append_timed" -> appendTimed(count, value(number));
            case "read" -> read(queue.createTailer(), count);
            case "consume" -> read(queue.createTailer("readers"), count);
            case "seek" -> seek(count, number);
            default -> throw new IllegalArgumentException(operation);
        };
    }

    private static BytesStore<?, ?> value(int size) {
        byte[] value = new byte[size];
        Arrays.fill(value, (byte) 'x');
        return BytesStore.wrap(value);
    }

    private void append(BytesStore<?, ?> value) {
        appender.writeBytes(value);
        if (firstIndex < 0) {
            firstIndex = appender.lastIndexAppended();
        }
    }

    private String append(int count, BytesStore<?, ?> value) {
        for (int number = 0; number < count; number++) {
            append(value);
        }
        return "ok";
    }

    private String appendTimed(int count, BytesStore<?, ?> value) {
        long[] times = new long[count];
        for (int number = 0; number < count; number++) {
            long start = System.nanoTime();
            append(value);
            times[number] = System.nanoTime() - start;
        }
        return Arrays.stream(times).mapToObj(Long::toString).collect(Collectors.joining(" "));
    }

    /** A tailer with a name stores its place with each event; one without a name stores nothing. */
    private String read(ExcerptTailer tailer, int count) {
        try (tailer) {
            for (int number = 0; number < count; number++) {
                readOne(tailer);
            }
        }
        return "ok";
    }

    /** Read one event at each of `count` places among the first `stock`. */
    private String seek(int count, int stock) {
        SplittableRandom random = new SplittableRandom(count);
        try (ExcerptTailer tailer = queue.createTailer()) {
            for (int number = 0; number < count; number++) {
                if (!tailer.moveToIndex(firstIndex + random.nextInt(stock))) {
                    throw new IllegalStateException("there is no such event");
                }
                readOne(tailer);
            }
        }
        return "ok";
    }

    private void readOne(ExcerptTailer tailer) {
        scratch.clear();
        if (!tailer.readBytes(scratch)) {
            throw new IllegalStateException("there is no event");
        }
    }
}
