import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;

/** Says hello in a room, and prints what it receives until it hears itself. */
public class Chat implements WebSocket.Listener {
    private final StringBuilder message = new StringBuilder();
    private final CountDownLatch closed = new CountDownLatch(1);

    public static void main(String[] arguments) throws Exception {
        var chat = new Chat();
        var client = HttpClient.newHttpClient();
        var ws = client.newWebSocketBuilder().buildAsync(URI.create(arguments[0]), chat).join();
        ws.sendText("{\"type\": \"say\", \"text\": \"hello from Java\"}", true).join();
        chat.closed.await();
    }

    @Override
    public CompletionStage<?> onText(WebSocket ws, CharSequence part, boolean last) {
        message.append(part);
        if (last) {
            System.out.println(message);
            if (message.indexOf("hello from Java") >= 0) {
                ws.sendClose(WebSocket.NORMAL_CLOSURE, "");
            }
            message.setLength(0);
        }
        ws.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket ws, int code, String reason) {
        System.out.println("closed with " + code);
        closed.countDown();
        return null;
    }
}
