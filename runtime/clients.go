// This file defines what the runtime needs from Kafka clients: load, admin
// and audit. runtime/kafka implements it with sarama.

package runtime

import (
	"context"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Env is what every client of a run shares.
type Env struct {
	Run   string // name of the run
	RunID uint64 // id of the run, in every record (record.Identity)
	Seed  int64
	Speed float64 // every duration is divided by it, every rate multiplied
	Clock Clock
	Log   func(string) // warnings of the client library, for logs/; never nil
	// TextKey, when set, signs the values of records, which then are text
	// (record.TextValue), so that clients of any language can tell of them.
	TextKey []byte
	// Tell, when set, journals what a client has to say of itself; At is put in.
	Tell func(record.Event)
	// Operators are the super users of clusters with authentication, by
	// cluster, as whom the control side and mirrors act.
	Operators map[string]Login
	// Denied, when set, is told each answer of a broker that refuses a member
	// for want of rights, or because it is not who it says; text is Kafka's own.
	// It must not block. What it was told before, it leaves out by itself.
	Denied func(client string, member int, cluster, text string)
}

// ProducerSpec is one member of a producer.
type ProducerSpec struct {
	Env
	Producer  plan.Producer
	Index     int // of Producer in the plan, for record.Identity
	Topic     plan.Topic
	Member    int      // 1…
	Members   int      // how many there are when it starts; its share of the rate is Rate/Members
	Bootstrap []string // as dialled from the member's place
	Login     Login
	// Until ends the schedule by itself: nothing is due from that scenario time
	// on, however late the machine gets round to SetRate(0); 0: never.
	Until time.Duration
	Log   *record.ProducerLog
}

// ConsumerSpec is one member of a group.
type ConsumerSpec struct {
	Env
	Consumer  plan.Consumer
	Index     int          // of Consumer in the plan
	Topics    []plan.Topic // of Consumer.Topics, in their order
	Member    int
	Bootstrap []string
	Login     Login
	Log       *record.ConsumerLog
}

// Load starts clients. Both return once the member is ready: a producer has
// metadata of every partition, a consumer has been assigned its share.
type Load interface {
	Producer(ctx context.Context, s ProducerSpec) (Producer, error)
	Consumer(ctx context.Context, s ConsumerSpec) (Member, error)
}

// Member is a client that runs.
type Member interface {
	// Stop ends it in order: a producer waits until ctx ends for what is in
	// flight (the rest is unknown), a consumer commits and leaves its group.
	Stop(ctx context.Context) error
	// Crash ends it without goodbye: connections are reset, nothing is
	// committed, the group learns of it by the session timeout.
	Crash()
}

// Producer is a member whose schedule can change. It sends nothing before
// Begin.
type Producer interface {
	Member
	// Begin starts the schedule at scenario time at, with this member's
	// share in records a second; SetRate changes the share from now on. With
	// SetRate(0) nothing more is due, for a producer of the highest rate too;
	// what was due before is still sent.
	Begin(at time.Duration, share float64)
	SetRate(share float64)
}

// Mute is the power of a Load whose clients may not say what they get, since
// somebody else wrote them.
type Mute interface {
	// Silent tells whether no member of a consumer, in all its lives, has said
	// that it got a record.
	Silent(client string) bool
}

// Redirecter is the power of a Member to go on at another cluster: fail_over
// and fail_back.
type Redirecter interface {
	// Redirect returns once the member is ready there, as Load does. What a
	// producer has not had acknowledged it sends again, to the new topic. A
	// consumer joins the group of the same name there and goes on from that
	// group's committed offsets, and where there are none from Consumer.Start.
	// On error the member keeps trying, as a client does.
	Redirect(ctx context.Context, to Destination) error
}

// Destination is where a member goes on.
type Destination struct {
	Bootstrap []string
	Login     Login
	Topics    []plan.Topic // a producer's one, or all that a consumer reads
	// Finish lets a consumer first read what stands in its present topics, as
	// far as they went when Redirect was called, and commit it, together with its
	// group. What it cannot read in three quarters of the time that ctx leaves, it
	// leaves; the rest of the time is for becoming ready elsewhere.
	Finish bool
}

// Comparer is the power to read a mirror's both sides.
type Comparer interface {
	// Compare says for each of plan.Aspects whether copy and source are alike,
	// up to the ends of the logs (by plan topic, partition). Groups are those
	// that read the source.
	Compare(ctx context.Context, s MirrorSpec, ends map[string]map[int32]int64, groups []string) ([]Comparison, error)
}

// Comparison is one aspect of a mirror. Compared counts what was compared
// (records, partitions, configs or positions) and Different what differs.
type Comparison struct {
	Aspect    string
	Compared  int64
	Different int64
	First     string // the first difference, for people; "" without any
}

// Admin does what Kafka's own tools do, over the control side.
type Admin interface {
	// Create makes topics and returns once every broker's own metadata shows
	// each leader and a full in-sync set.
	Create(ctx context.Context, cluster string, topics []plan.Topic) error
	// Do carries out resize, configure, elect, move, send, replay,
	// reset_offsets, allow, deny, revoke, delete_records or delete. Its targets
	// are resolved: brokers by id, never selectors. The proof is read back from
	// the cluster. A refusal of the cluster is an error with Kafka's own text.
	Do(ctx context.Context, cluster string, a plan.Action) (Proof, error)
	// Coordinator tells which broker coordinates a group.
	Coordinator(ctx context.Context, cluster, group string) (int32, error)
}

// Grantor is the power of an Admin to give users the rights that they hold from
// the start (plan.User.Rights), as allow does for one.
type Grantor interface {
	// Grant returns once every broker shows the rights.
	Grant(ctx context.Context, cluster, user string, rights []plan.ACL) (Proof, error)
}

// Enroller is the power of an Admin to make the SCRAM credentials of users
// (AlterUserScramCredentials), on engines whose clusters come up without them.
type Enroller interface {
	// Enroll returns once every broker knows the credentials.
	Enroll(ctx context.Context, cluster string, logins []Login) (Proof, error)
}

// Configs is the power to read configs back before they are changed, so that
// revert_after restores what was there. A nil value means: not set.
type Configs interface {
	Configs(ctx context.Context, cluster string, target plan.Ref, names []string) (map[string]*string, error)
}

// Restorer is the power to put configs back to what Configs read: a nil value
// unsets the name, so that its default holds again.
type Restorer interface {
	Restore(ctx context.Context, cluster string, target plan.Ref, values map[string]*string) (Proof, error)
}

// Group is a consumer group as its coordinator and the logs show it.
type Group struct {
	State      string // Stable, PreparingRebalance …
	Members    int
	Generation int32
	Committed  map[string]map[int32]int64 // topic of the plan, partition: next offset
}

// Auditor reads logs independently of the load.
type Auditor interface {
	// Audit reads each partition of a topic from its start to end (its
	// high-water marks) and writes what it finds into the recording: log gives
	// the log of one partition, read from logStart to highWater, which Audit
	// closes, with an error when it gave up on that partition.
	Audit(ctx context.Context, cluster, topic string, end map[int32]int64, log func(partition int32, logStart, highWater int64) *record.AuditLog) error
	// Group describes a group, for lag and for the end of the drain.
	Group(ctx context.Context, cluster, group string) (Group, error)
}
