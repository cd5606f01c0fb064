import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;

/** Posts a body with a length, in chunks, and with a length again, by one client as it is by default: it offers h2c. */
public class Post {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], token = arguments[1];
        byte[] body = arguments[2].getBytes();
        HttpClient client = HttpClient.newHttpClient();
        List<BodyPublisher> publishers = List.of(
            BodyPublishers.ofByteArray(body),
            BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)),
            BodyPublishers.ofByteArray(body));
        for (BodyPublisher publisher : publishers) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + token)
                .POST(publisher)
                .build();
            var response = client.send(request, BodyHandlers.ofString());
            System.out.println(response.version() + " " + response.statusCode() + " " + response.body());
        }
    }
}
