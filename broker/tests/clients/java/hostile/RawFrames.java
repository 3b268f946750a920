import java.io.EOFException;
import java.io.IOException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.WriteTxnMarkersRequestData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Errors;

/**
 * What no client library sends: the APIs of brokers and controllers, keys that do not exist, frames that lie. An API
 * that is not for clients is answered with an error, or the connection ends, as Kafka ends one that asks for what it does
 * not know. Anything but silence, and anything but success.
 */
final class RawFrames {
    /** APIs of brokers and controllers that the newest client library can still encode. */
    private static final List<ApiKeys> INSIDE = List.of(ApiKeys.VOTE, ApiKeys.BEGIN_QUORUM_EPOCH, ApiKeys.END_QUORUM_EPOCH,
            ApiKeys.ALTER_PARTITION, ApiKeys.ENVELOPE, ApiKeys.FETCH_SNAPSHOT, ApiKeys.BROKER_REGISTRATION, ApiKeys.BROKER_HEARTBEAT,
            ApiKeys.ALLOCATE_PRODUCER_IDS, ApiKeys.CONTROLLER_REGISTRATION, ApiKeys.ASSIGN_REPLICAS_TO_DIRS, ApiKeys.UPDATE_RAFT_VOTER,
            ApiKeys.INITIALIZE_SHARE_GROUP_STATE, ApiKeys.READ_SHARE_GROUP_STATE, ApiKeys.WRITE_SHARE_GROUP_STATE,
            ApiKeys.DELETE_SHARE_GROUP_STATE, ApiKeys.READ_SHARE_GROUP_STATE_SUMMARY);

    /** LeaderAndIsr, StopReplica, UpdateMetadata, ControlledShutdown: Kafka 3.9 knows them, the library no longer does. */
    private static final List<Integer> OF_OLD_BROKERS = List.of(4, 5, 6, 7);

    static Map<String, Case.Scenario> attempts() {
        Map<String, Case.Scenario> attempts = new LinkedHashMap<>();
        for (ApiKeys api : INSIDE) {
            attempts.put("raw-" + api.name.replaceAll("([a-z])([A-Z])", "$1-$2").toLowerCase(java.util.Locale.ROOT), c -> everyVersion(c, api));
        }
        for (int key : OF_OLD_BROKERS) {
            attempts.put("raw-api-" + key, c -> unknown(c, key));
        }
        for (int key : List.of(93, 999, 32767, -1)) {
            attempts.put("raw-no-such-api-" + key, c -> unknown(c, key));
        }
        attempts.put("raw-transaction-markers", RawFrames::transactionMarkers);
        attempts.put("raw-fetch-as-follower", RawFrames::fetchAsFollower);
        attempts.put("raw-huge-frame", c -> frame(c, ByteBuffer.allocate(4).putInt(Integer.MAX_VALUE)));
        attempts.put("raw-negative-frame", c -> frame(c, ByteBuffer.allocate(4).putInt(-7)));
        attempts.put("raw-http", c -> frame(c, ByteBuffer.wrap("GET / HTTP/1.1\r\nHost: x\r\n\r\n".getBytes()).position(26)));
        return attempts;
    }

    private static void everyVersion(Case c, ApiKeys api) throws Exception {
        Set<String> outcomes = new TreeSet<>();
        for (short version = api.oldestVersion(); version <= api.latestVersion(true); version++) {
            outcomes.add(outcome(c, api, version, api.messageType.newRequest()));
        }
        c.trace(String.join(" or ", outcomes));
    }

    /** Error of the answer, or that the connection ended. */
    private static String outcome(Case c, ApiKeys api, short version, ApiMessage body) throws Exception {
        try (Wire wire = Wire.connect(c)) {
            Map<Errors, Integer> errors = wire.ask(api, version, body).errorCounts();
            // A good answer as a whole may hold a refusal of its one part.
            String refusals = errors.keySet().stream().filter(e -> e != Errors.NONE).map(Errors::name).sorted().collect(Collectors.joining(" "));
            c.check(!refusals.isEmpty(), api + " version " + version + " was accepted");
            return refusals;
        } catch (EOFException | SocketException ended) {
            return "connection ended";
        } catch (SocketTimeoutException silence) {
            throw new AssertionError(api + " version " + version + " got no answer", silence);
        }
    }

    private static void unknown(Case c, int key) throws Exception {
        try (Wire wire = Wire.connect(c)) {
            ByteBuffer request = ByteBuffer.allocate(40);
            request.putShort((short) key).putShort((short) 0).putInt(1).putShort((short) 1).put((byte) 'x');
            wire.send(request.rewind());
            wire.receive();
        } catch (EOFException | SocketException ended) {
            c.trace("connection ended");
            return;
        } catch (SocketTimeoutException silence) {
            throw new AssertionError("no answer to API " + key, silence);
        }
        throw new AssertionError("API " + key + " was answered");
    }

    private static void transactionMarkers(Case c) throws Exception {
        var marker = new WriteTxnMarkersRequestData.WritableTxnMarker().setProducerId(1).setTransactionResult(true)
                .setTopics(List.of(new WriteTxnMarkersRequestData.WritableTxnMarkerTopic().setName("__consumer_offsets").setPartitionIndexes(List.of(0))));
        c.trace(outcome(c, ApiKeys.WRITE_TXN_MARKERS, (short) 1, new WriteTxnMarkersRequestData().setMarkers(List.of(marker))));
    }

    /** A follower's fetch moves the high watermark: only brokers may say that they are one. */
    private static void fetchAsFollower(Case c) throws Exception {
        var partition = new FetchRequestData.FetchPartition().setPartition(0).setPartitionMaxBytes(1000);
        var fetch = new FetchRequestData().setReplicaId(1).setMaxWaitMs(100).setMaxBytes(1000)
                .setTopics(List.of(new FetchRequestData.FetchTopic().setTopic("__consumer_offsets").setTopicId(Uuid.ZERO_UUID).setPartitions(List.of(partition))));
        c.trace(outcome(c, ApiKeys.FETCH, (short) 11, fetch));
    }

    private static void frame(Case c, ByteBuffer bytes) throws Exception {
        try (Wire wire = Wire.connect(c)) {
            wire.sendRaw(bytes.flip());
            wire.receive();
        } catch (EOFException | SocketException ended) {
            c.trace("connection ended");
            return;
        } catch (SocketTimeoutException silence) {
            throw new AssertionError("the connection stays open", silence);
        } catch (IOException other) {
            c.trace("connection ended");
            return;
        }
        throw new AssertionError("was answered");
    }
}
