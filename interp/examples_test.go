package interp_test

import (
	"regexp"
	"strings"
	"testing"

	"starfall/builtins"
	"starfall/internal/kafkatools"
	"starfall/interp"
)

const stage = `
scenario(run_for = "3m", warmup = "5s")
dc1 = site()
dc2 = site()
kafka = cluster(brokers = 4, controllers = 3, spread = [dc1, dc2])
orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 1000, keys = 10)
billing = consumer(orders, group = "billing", members = 2)
outage = at("20s", kill(kafka.broker(4), restart_after = "50s"))
frozen = at("20s", pause(kafka.broker(3)))
cut = at("20s", netsplit(kafka.broker(2), dc1))
london = site()
west = cluster(site = dc2)
copy = mirror(orders, to = west, site = london, rename = "{topic}")
copies = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
when(shop.rate.at_least(1), fail_over(billing, shop, to = copy), within = "60s")
resting = consumer(orders, group = "resting")
at("10s", scale(resting, members = 0))
secure = cluster(site = dc2)
events = topic(secure)
writer = user(secure, produces = events)
reader = user(secure)
source = producer(events, user = writer)
expect(shop.failed.none())
`

var assigned = regexp.MustCompile(`^[a-z_0-9]+ = `)

// TestExamplesOfTheTable evaluates the example of every word.
func TestExamplesOfTheTable(t *testing.T) {
	n := 0
	for _, w := range builtins.Table() {
		if w.Example == "" {
			continue
		}
		n++
		t.Run(w.Qualified(), func(t *testing.T) {
			line := w.Example
			text := stage
			switch {
			case w.Name == "scenario":
				text = text[strings.Index(text, "dc1"):]
			case w.On == "measure" && w.Family == builtins.Bounds:
				line = "expect(" + line + ")"
			case w.On == "measure":
				line = "report(" + line + ")"
			case w.Name == "link":
			case assigned.MatchString(line):
				line = assigned.ReplaceAllString(line, "example = ")
			case w.On != "" && w.Kind == builtins.Function && !strings.HasPrefix(line, "at(") && !strings.HasPrefix(line, "expect("):
				line = "example = " + line
			}
			if err := loadText(t, text+line+"\n", interp.Options{}); err != nil {
				t.Errorf("%s:\n%v", line, err)
			}
		})
	}
	if n < 60 {
		t.Fatalf("got %d examples, want most words to have one", n)
	}
}

// TestWordsOfTools evaluates what the table of Kafka's tools says that a scenario
// says instead.
func TestWordsOfTools(t *testing.T) {
	families := map[string]builtins.Family{}
	for _, w := range builtins.Table() {
		if w.On == "" {
			families[w.Name] = w.Family
		}
	}
	n := 0
	for _, tool := range kafkatools.Table() {
		if tool.Word == "" {
			continue
		}
		n++
		t.Run(tool.Name, func(t *testing.T) {
			line := tool.Word
			word, _, _ := strings.Cut(line, "(")
			switch families[word] {
			case builtins.Verbs:
				if word == "reset_offsets" {
					line = strings.Replace(line, "billing", "resting", 1) // which has been stopped
				}
				line = `at("60s", ` + line + `)`
			case builtins.Things:
				line = "example = " + line
			case builtins.Claims:
			default:
				t.Fatalf("got the word %q, want a thing, a verb or a claim", word)
			}
			if err := loadText(t, stage+line+"\n", interp.Options{}); err != nil {
				t.Errorf("%s:\n%v", line, err)
			}
		})
	}
	if n < 20 {
		t.Fatalf("got %d words, want most tools to have one", n)
	}
}
