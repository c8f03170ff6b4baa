package bundle

import (
	"fmt"
	"strings"
	"testing"
)

// TestSecrets has a line that must be found, and one that must not, for each kind. The
// secrets are put together here, so that no tool takes this file for one that has them.
func TestSecrets(t *testing.T) {
	long := strings.Repeat("Ab1", 20)
	for _, tt := range []struct{ path, text, want string }{
		{"a.pem", "-----BEGIN RSA " + "PRIVATE KEY-----", "a private key"},
		{"a.pem", "-----BEGIN " + "PRIVATE KEY-----", "a private key"},
		{"a.pem", "-----BEGIN " + "PUBLIC KEY-----", ""},
		{"a.py", "key = AKIA" + "ABCDEFGHIJKLMNOP", "an access key of AWS"},
		{"a.py", "AKIA" + "short", ""},
		{"a.py", "ghp_" + long[:36], "a token of GitHub"},
		{"a.py", "glpat-" + long[:20], "a token of GitLab"},
		{"a.py", "xoxb-" + long[:20], "a token of Slack"},
		{"a.py", "AIza" + long[:35], "a key of Google"},
		{"a.py", "sk_live_" + long[:24], "a key of Stripe"},
		{"a.py", "npm_" + long[:36], "a token of npm"},
		{"a.py", "eyJ" + long[:20] + ".eyJ" + long[:20] + "." + long[:20], "a JSON web token"},
		{"a.py", "amqp://shop:" + "hunter22@host", "an address with a password"},
		{"a.py", "amqp://shop:${PASSWORD}@host", ""},
		{"a.py", "http://host:9092/x@y", ""},
		{"a.py", `headers = {"Authorization": "Bearer ` + long[:30] + `"}`, "a bearer token"},
		{"a.py", `password = "hunter22"`, "a password or token"},
		{"a.py", `db_password='hunter22'`, "a password or token"},
		{"a.star", `{"sasl.jaas.config": "required password=\"hunter22\";"}`, "a password or token"},
		{"a.json", `{"api_key": "hunter22"}`, "a password or token"},
		{"a.py", `password = "secret"`, ""},
		{"a.py", `password = "$PASSWORD"`, ""},
		{"a.py", `password = "{}".format(x)`, ""},
		{"a.py", `password = "********"`, ""},
		{"a.py", `password = os.environ["PASSWORD"]`, ""},
		{"a.py", `token = next_token`, ""},
		{"a.py", `print("the token: " + token)`, ""},
		{"client.properties", "ssl.keystore.password=hunter22", "a password or token"},
		{"client.properties", "ssl.keystore.password=${PASSWORD}", ""},
		{"client.properties", "sasl.mechanism=PLAIN-AND-SIMPLE", ""},
		{"a.py", `password = "hunter22" # not a secret`, ""},
		{"a.star", `alice = user(kafka, password = "wonderland")`, ""},
		{"a.py", `print("tops3cretvalue")`, "it holds the value of the environment variable SHOP_TOKEN"},
		{"bin/shop", "\x00 password = \"hunter22\"", ""},
		{".env", "X=1", "a file of this name holds secrets"},
		{"keys/id_ed25519", "x", "a file of this name holds secrets"},
		{"keys/shop.p12", "x", "a file of this name holds secrets"},
		{"keys.py", "x", ""},
	} {
		s := Secrets{Known: []string{"wonderland"}, Environ: []string{"SHOP_TOKEN=tops3cretvalue", "PATH=/usr/bin", "MY_TOKEN=short"}}
		got := s.Find([]File{{Path: tt.path, Data: []byte("first line\n" + tt.text + "\nlast line\n")}})
		switch {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%s: %s: got %v, want nothing", tt.path, tt.text, got)
		case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].Message, tt.want)):
			t.Errorf("%s: %s: got %v, want one with %q", tt.path, tt.text, got, tt.want)
		case tt.want != "" && !strings.Contains(tt.want, "of this name") && got[0].Path != tt.path+":2":
			t.Errorf("%s: got it at %s, want line 2", tt.text, got[0].Path)
		}
		if strings.Contains(fmt.Sprint(got), "hunter22") || strings.Contains(fmt.Sprint(got), "tops3cret") {
			t.Errorf("%s: got the secret in the message: %v", tt.text, got)
		}
	}
}

// TestSecretsAllowedOnce wants what one line says is no secret to be none elsewhere: a
// journal repeats what a scenario says.
func TestSecretsAllowedOnce(t *testing.T) {
	s := Secrets{}
	got := s.Find([]File{
		{Path: "journal.jsonl", Data: []byte(`{"text":"configure(password = \"hunter22\")"}`)},
		{Path: "x.star", Data: []byte(`configure(password = "hunter22") # not a secret`)},
	})
	if len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}
