// This file defines how a command line becomes words.

package external

import (
	"errors"
	"strings"
)

var (
	errNoCommand = errors.New("got an empty command, want a program and its arguments")
	errQuote     = errors.New("a quote is not closed")
)

// Words parts a command line at blanks. Single and double quotes keep words
// together, and a backslash takes the next character as it is, except between
// single quotes. There is no shell: no variables, no pipes.
func Words(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	open, quote, escaped := false, rune(0), false
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			open, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			open, quote = true, c
		case c == ' ' || c == '\t' || c == '\n':
			if open {
				out = append(out, word.String())
				word.Reset()
				open = false
			}
		default:
			open = true
			word.WriteRune(c)
		}
	}
	switch {
	case quote != 0 || escaped:
		return nil, errQuote
	case open:
		out = append(out, word.String())
	}
	if len(out) == 0 || out[0] == "" {
		return nil, errNoCommand
	}
	return out, nil
}
