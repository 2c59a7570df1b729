import com.azure.core.credential.TokenCredential;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.util.polling.SyncPoller;
import com.azure.identity.ClientSecretCredentialBuilder;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** What the programs have in common: cases that print "ok NAME" or "FAIL NAME: WHY". */
final class Harness {
    interface Case {
        void run() throws Exception;
    }

    private final Map<String, Case> cases = new LinkedHashMap<>();

    static TokenCredential credential() {
        ClientSecretCredentialBuilder builder = new ClientSecretCredentialBuilder()
            .tenantId(System.getenv("AZURE_TENANT_ID"))
            .clientId(System.getenv("AZURE_CLIENT_ID"))
            .clientSecret(System.getenv("AZURE_CLIENT_SECRET"));
        if (System.getenv("AZURE_AUTHORITY_HOST") != null) {
            builder.authorityHost(System.getenv("AZURE_AUTHORITY_HOST"));
        }
        return builder.build();
    }

    Harness add(String name, Case c) {
        cases.put(name, c);
        return this;
    }

    void run() {
        cases.forEach((name, c) -> {
            try {
                c.run();
                System.out.println("ok " + name);
            } catch (Throwable problem) {
                StringWriter text = new StringWriter();
                problem.printStackTrace(new PrintWriter(text));
                System.out.println("FAIL " + name + ": " + text.toString().strip().replaceAll("\\s*\\n\\s*", " | "));
            }
        });
        System.exit(0); // the SDK's threads would go on
    }

    static void equal(Object got, Object want) {
        if (!Objects.deepEquals(got, want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void refused(Case c, int status, String text) throws Exception {
        try {
            c.run();
        } catch (HttpResponseException refusal) {
            equal(refusal.getResponse().getStatusCode(), status);
            check(refusal.getMessage().contains(text), "got " + refusal.getMessage() + ", want \"" + text + "\" in it");
            return;
        }
        throw new AssertionError("the call succeeded");
    }

    /** Waits for a poller without its pauses. */
    static <T, U> SyncPoller<T, U> fast(SyncPoller<T, U> poller) {
        poller.setPollInterval(Duration.ofMillis(50)).waitForCompletion(Duration.ofMinutes(1));
        return poller;
    }
}
