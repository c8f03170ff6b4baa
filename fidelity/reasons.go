// This file holds the reasons for what differs.

package main

// epochs is why a stall at an orderly change of leaders is longer on real
// Kafka.
const epochs = "on real Kafka the brokers learn of a new leader epoch 0.2 to 0.6 s apart (measured), and a follower that asks for a partition too early pauses it for replica.fetch.backoff.ms (1 s), so records with acks=all wait. In the embedded cluster the brokers learn of it within one fetch of the metadata log, a few milliseconds apart."

func reasons() []reason {
	return []reason{
		{"reassign", "shop.stall", "Three runs on real Kafka gave 0.54, 0.57 and 1.27 s, in the moment in which the reassignment begins: " + epochs},
		{"rolling", "shop.stall", "Three runs on real Kafka gave 1.11, 1.20 and 1.46 s, each when leaders go back to brokers that run: " + epochs},
		{"transactions-kill", "shop.stall.during(outage)", "Half a second of it is when in its heartbeat interval a broker dies: three runs on real Kafka gave 2.00, 2.13 and 2.26 s, seven on the embedded engine 2.33 to 2.70 s, at every speed. What remains, a few tenths between the election and the first commit, is not explained."},
	}
}
