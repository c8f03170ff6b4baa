// What Kafka's Java producer does with transactions: the console tools have none
// that can abort. Driven by java/client.

import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringSerializer;

public class Transact {
    static KafkaProducer<String, String> producer() {
        Properties p = new Properties();
        p.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        p.put("transactional.id", "java-tx");
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] args) throws Exception {
        KafkaProducer<String, String> first = producer();
        first.initTransactions();
        for (String kind : new String[] {"kept", "dropped", "after"}) {
            first.beginTransaction();
            for (int i = 1; i <= 50; i++) {
                first.send(new ProducerRecord<>("ledger", kind + "-" + i)).get();
            }
            if (kind.equals("dropped")) {
                first.abortTransaction();
            } else {
                first.commitTransaction();
            }
        }
        KafkaProducer<String, String> second = producer();
        second.initTransactions();
        try {
            first.beginTransaction();
            first.send(new ProducerRecord<>("ledger", "fenced"));
            first.commitTransaction();
            System.out.println("a fenced producer committed");
            System.exit(1);
        } catch (ProducerFencedException expected) {
            System.out.println("fenced");
        }
        System.exit(0);
    }
}
