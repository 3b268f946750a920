import java.io.DataInputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.apache.kafka.common.message.SaslAuthenticateRequestData;
import org.apache.kafka.common.message.SaslHandshakeRequestData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;

/** A connection on which frames are written by hand, signed in where the path asks for it. */
final class Wire implements AutoCloseable {
    /** An answer, or the end of the connection, must come within this. */
    private static final int TIMEOUT_MS = 5_000;
    private static final int LARGEST_ANSWER = 16 << 20;

    private final Socket socket;
    private final OutputStream out;
    private final DataInputStream in;
    private int correlation;

    private Wire(Socket socket) throws IOException {
        this.socket = socket;
        socket.setSoTimeout(TIMEOUT_MS);
        out = socket.getOutputStream();
        in = new DataInputStream(socket.getInputStream());
    }

    static Wire connect(Case c) throws Exception {
        String[] first = c.get("bootstrap").split(",")[0].split(":");
        Socket plain = new Socket(first[0], Integer.parseInt(first[1]));
        if (c.get("path").equals("plaintext")) {
            return new Wire(plain);
        }
        KeyStore trusted = KeyStore.getInstance(c.get("truststore_type"));
        try (FileInputStream file = new FileInputStream(c.get("truststore"))) {
            trusted.load(file, c.get("truststore_password").toCharArray());
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        SSLSocket tls = (SSLSocket) context.getSocketFactory().createSocket(plain, first[0], plain.getPort(), true);
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        tls.setSSLParameters(parameters);
        Wire wire = new Wire(tls);
        wire.signIn(c.get("user"), System.getenv("KAFKA_PASSWORD"));
        return wire;
    }

    private void signIn(String user, String password) throws IOException {
        ask(ApiKeys.SASL_HANDSHAKE, (short) 1, new SaslHandshakeRequestData().setMechanism("PLAIN"));
        byte[] proof = ("\0" + user + "\0" + password).getBytes(StandardCharsets.UTF_8);
        var answer = ask(ApiKeys.SASL_AUTHENTICATE, (short) 2, new SaslAuthenticateRequestData().setAuthBytes(proof));
        if (!answer.errorCounts().containsKey(Errors.NONE)) {
            throw new IllegalStateException("could not sign in: " + answer);
        }
    }

    AbstractResponse ask(ApiKeys api, short version, ApiMessage body) throws IOException {
        RequestHeader header = new RequestHeader(api, version, "hostile", ++correlation);
        send(RequestUtils.serialize(header.data(), header.headerVersion(), body, version));
        return AbstractResponse.parseResponse(receive(), header);
    }

    void send(ByteBuffer request) throws IOException {
        ByteBuffer frame = ByteBuffer.allocate(4 + request.remaining()).putInt(request.remaining()).put(request);
        sendRaw(frame.flip());
    }

    void sendRaw(ByteBuffer bytes) throws IOException {
        out.write(bytes.array(), 0, bytes.limit());
        out.flush();
    }

    ByteBuffer receive() throws IOException {
        int length = in.readInt();
        if (length < 0 || length > LARGEST_ANSWER) {
            throw new IOException("an answer of " + length + " bytes");
        }
        return ByteBuffer.wrap(in.readNBytes(length));
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
