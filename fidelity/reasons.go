// This file holds the reasons for what differs.

package main

// epochs is why a stall at an orderly change of leaders is longer on real
// Kafka.
const epochs = "on real Kafka the brokers learn of a new leader epoch 0.2 to 0.6 s apart (measured), and a follower that asks for a partition too early pauses it for replica.fetch.backoff.ms (1 s), so records with acks=all wait. In the embedded cluster the brokers learn of it within one fetch of the metadata log, a few milliseconds apart."

func reasons() []reason {
	return []reason{
		{"reassign", "shop.stall", "Three runs on real Kafka gave 0.54, 0.57 and 1.27 s, in the moment in which the reassignment begins: " + epochs},
		{"rolling", "shop.stall", "Three runs on real Kafka gave 1.11, 1.20 and 1.46 s, each when leaders go back to brokers that run: " + epochs},
		{"transactions-kill", "shop.stall.during(outage)", "A broker is fenced broker.session.timeout.ms (2 s) after its last heartbeat, which is up to broker.heartbeat.interval.ms (0.5 s) before it dies. Three runs on real Kafka gave 2.00, 2.13 and 2.26 s; the embedded cluster's heartbeats come at the same moments of each run, and this kill falls right behind one."},
	}
}
