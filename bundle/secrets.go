// This file defines what looks like a secret. It errs on the side of refusing: a line
// that only looks like one says so (notSecret), where everybody who reads it can see it.

package bundle

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// notSecret, in a line, says that it holds none.
const notSecret = "not a secret"

// secretKind is one kind of secret. Where the expression has a group, that is the
// secret; of an assignment it is looked at again.
type secretKind struct {
	what       string
	pattern    *regexp.Regexp
	assignment bool
	only       *regexp.Regexp // names of files; nil: all
}

// unquoted are files whose values stand without quotes.
var unquoted = regexp.MustCompile(`(?i)^(?:[^.]+|.*\.(?:properties|conf|cfg|ini|env|toml|ya?ml))$`)

// secretKinds are looked for in every text. The forms of tokens are those that their
// issuers document.
var secretKinds = []secretKind{
	{"a private key", regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`), false, nil},
	{"an access key of AWS", regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`), false, nil},
	{"a token of GitHub", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})\b`), false, nil},
	{"a token of GitLab", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}`), false, nil},
	{"a token of Slack", regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{10,}`), false, nil},
	{"a key of Google", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}\b`), false, nil},
	{"a key of Stripe", regexp.MustCompile(`\b[rs]k_live_[0-9A-Za-z]{20,}`), false, nil},
	{"a token of npm", regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`), false, nil},
	{"a JSON web token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`), false, nil},
	{"an address with a password", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://[^\s/:@"'{}$<>]+:([^\s/:@"'{}$<>]{3,})@`), true, nil},
	{"a bearer token", regexp.MustCompile(`(?i)\bauthorization["']?\s*[:=]\s*\\?["']?(?:bearer|basic)\s+([A-Za-z0-9+/_.=-]{16,})`), true, nil},
	{"a password or token", regexp.MustCompile(`(?i)(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)["']?\s*[:=]\s*\\?["']([^"'\\\n]{4,200})\\?["']`), true, nil},
	// In files that have no quotes; in programs it would find every variable.
	{"a password or token", regexp.MustCompile(`(?im)^\s*[A-Za-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)[A-Za-z0-9_.-]*\s*=\s*([A-Za-z0-9+/_!#%^&*~=-]{6,200})\s*$`), true, unquoted},
}

// secretNames are files that hold secrets by their kind.
var secretNames = regexp.MustCompile(`(?i)^(?:\.env(?:\..*)?|\.netrc|\.npmrc|\.pypirc|\.pgpass|id_(?:rsa|dsa|ecdsa|ed25519)|credentials|.*\.(?:p12|pfx|jks|keystore|kdbx|key))$`)

// secretVariables are names of variables whose values are secrets.
var secretVariables = regexp.MustCompile(`(?i)(?:password|passwd|passphrase|secret|token|credential|api_?key|access_?key|private_?key)`)

// Secrets finds what looks like a secret.
type Secrets struct {
	// Known are values that may stand there: the passwords of a scenario's own users,
	// which are of no use anywhere else.
	Known []string
	// Environ is the environment, as os.Environ gives it: what a secret variable holds
	// must not stand in a file.
	Environ []string
}

// Find gives a problem for each line that looks like it holds a secret, without the
// secret. Lines that say that they hold none make what they hold known to s.
func (s *Secrets) Find(files []File) []Problem {
	for _, f := range files {
		s.learn(f)
	}
	var out []Problem
	for _, f := range files {
		if secretNames.MatchString(path.Base(f.Path)) {
			out = append(out, Problem{shownPath(f.Path), "a file of this name holds secrets", "leave it out; the program can read it where it runs"})
			continue
		}
		if isText(f.Data) {
			out = append(out, s.find(f)...)
		}
	}
	return out
}

// learn takes what stands on lines that say that they hold no secret for known.
func (s *Secrets) learn(f File) {
	if !bytes.Contains(f.Data, []byte(notSecret)) || !isText(f.Data) {
		return
	}
	for line := range bytes.Lines(f.Data) {
		if !bytes.Contains(line, []byte(notSecret)) {
			continue
		}
		for _, k := range secretKinds {
			for _, m := range k.pattern.FindAllSubmatch(line, -1) {
				s.Known = append(s.Known, string(m[len(m)-1]))
			}
		}
	}
}

func (s *Secrets) find(f File) []Problem {
	type hit struct {
		line int
		what string
	}
	var hits []hit
	at := func(offset int, what string) {
		h := hit{1 + bytes.Count(f.Data[:offset], []byte{'\n'}), what}
		if !slices.ContainsFunc(hits, func(x hit) bool { return x.line == h.line }) {
			hits = append(hits, h)
		}
	}
	for _, k := range secretKinds {
		if k.only != nil && !k.only.MatchString(path.Base(f.Path)) {
			continue
		}
		for _, m := range k.pattern.FindAllSubmatchIndex(f.Data, -1) {
			value := string(f.Data[m[len(m)-2]:m[len(m)-1]])
			if slices.Contains(s.Known, value) || bytes.Contains(lineAt(f.Data, m[0]), []byte(notSecret)) || k.assignment && isPlaceholder(value) {
				continue
			}
			at(m[len(m)-2], "it looks like "+k.what)
		}
	}
	for _, kv := range s.Environ {
		name, value, _ := strings.Cut(kv, "=")
		if len(value) < 8 || !secretVariables.MatchString(name) || slices.Contains(s.Known, value) {
			continue
		}
		if i := bytes.Index(f.Data, []byte(value)); i >= 0 && !bytes.Contains(lineAt(f.Data, i), []byte(notSecret)) {
			at(i, "it holds the value of the environment variable "+name)
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return a.line - b.line })
	var out []Problem
	for _, h := range hits {
		out = append(out, Problem{fmt.Sprintf("%s:%d", shownPath(f.Path), h.line), h.what, fmt.Sprintf("take it out, or, if it is none, say so in that line: # %s", notSecret)})
	}
	return out
}

// isPlaceholder tells what stands where a secret would, and is none.
func isPlaceholder(value string) bool {
	v := strings.ToLower(value)
	switch {
	case strings.ContainsAny(v, "$<>{}%()[]") || strings.Contains(v, " "): // a variable, an expression, a sentence
		return true
	case strings.Trim(v, "x*.-_") == "":
		return true
	}
	return slices.Contains([]string{"secret", "password", "changeme", "change-me", "example", "none", "null", "true", "false", "string"}, v)
}

func lineAt(b []byte, i int) []byte {
	from := bytes.LastIndexByte(b[:i], '\n') + 1
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return b[from : i+n]
	}
	return b[from:]
}

// isText tells text from programs and archives, which hold anything by chance.
func isText(b []byte) bool { return bytes.IndexByte(b[:min(len(b), 8000)], 0) < 0 }
