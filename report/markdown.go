// This file defines Markdown, for pull requests and job summaries.

package report

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"starfall/runtime/judge"
)

// Markdown writes runs as GitHub Flavored Markdown: one run with its claims,
// several as the table of a sweep. What scenarios and Kafka say is written so
// that nothing of it is markup.
func Markdown(w io.Writer, results []Result) error {
	var b bytes.Buffer
	if len(results) == 1 && results[0].Repeat == 0 && len(results[0].Params) == 0 {
		markdownRun(&b, results[0])
	} else {
		markdownSweep(&b, sweepOf(results))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func emoji(r judge.Result) string {
	switch r {
	case judge.Pass:
		return "✅"
	case judge.Fail:
		return "❌"
	case judge.Void:
		return "⛔"
	case judge.EngineError:
		return "💥"
	}
	return "❔"
}

// mdMark is the mark of a claim's row.
func mdMark(mark string) string {
	switch mark {
	case markPass:
		return "✅"
	case markFail:
		return "❌"
	}
	return "❔"
}

// plain are the characters that mean something in GitHub's Markdown, as entities,
// which never do. Newlines would end a row.
var plain = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;",
	"[", "&#91;", "]", "&#93;", "\\", "&#92;", "~", "&#126;", "#", "&#35;", "@", "&#64;", "$", "&#36;", "!", "&#33;",
	"\x00", "&#58;", "\r\n", "<br>", "\n", "<br>", "\r", "<br>")

// colon is one that would make an emoji or a link.
var colon = regexp.MustCompile(`:([A-Za-z0-9_+-]+:|//)`)

// mdText is text of somebody else's.
func mdText(s string) string { return plain.Replace(colon.ReplaceAllString(s, "\x00$1")) }

// mdCode is text in fixed width. A code span could not hold a bar in a table.
func mdCode(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + mdText(s) + "</code>"
}

// mdTable writes a table whose cells are Markdown already. An align of "r" puts
// a column to the right.
func mdTable(b *bytes.Buffer, heads []string, align string, rows [][]string) {
	fmt.Fprintf(b, "\n| %s |\n|", strings.Join(heads, " | "))
	for i := range heads {
		if i < len(align) && align[i] == 'r' {
			b.WriteString(" ---: |")
		} else {
			b.WriteString(" --- |")
		}
	}
	b.WriteString("\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
}

func markdownRun(b *bytes.Buffer, r Result) {
	v := r.Verdict
	if v == nil {
		fmt.Fprintf(b, "### %s %s · %s\n\nnothing was recorded", emoji(r.Word()), r.Word(), mdText(r.Scenario))
		if r.Error != "" {
			fmt.Fprintf(b, ": %s", mdText(r.Error))
		}
		fmt.Fprintf(b, "\n")
		return
	}
	p := pageOf(r)
	fmt.Fprintf(b, "### %s %s · %s\n\n%s\n\n%s\n", emoji(r.Word()), p.verdict, mdText(p.title), mdText(p.summary), mdText(p.context))
	var rows [][]string
	for _, c := range p.claims {
		text := mdCode(c.text)
		measured := mdText(c.measured)
		if len(c.notes) > 0 {
			text += "<br>" + mdText(c.pos)
			for _, n := range c.notes {
				measured += "<br>" + mdText(n)
			}
		}
		rows = append(rows, []string{mdMark(c.mark), text, measured})
	}
	if len(rows) > 0 {
		mdTable(b, []string{"", "claim", "measured"}, "", rows)
	}
	if len(p.reports) > 0 {
		rows = nil
		for _, x := range p.reports {
			rows = append(rows, []string{mdCode(strings.TrimSpace(x.text)), mdText(x.value)})
		}
		mdTable(b, []string{"report", "value"}, "", rows)
	}
	if len(p.reasons) > 0 {
		b.WriteString("\n")
		for _, x := range p.reasons {
			fmt.Fprintf(b, "- %s\n", mdText(x))
		}
	}
	if len(p.timeline) > 0 {
		rows = nil
		for _, x := range p.timeline {
			rows = append(rows, []string{x.at, mdText(x.what), mdText(x.proof), x.took})
		}
		// Folded: a summary is read for its verdict.
		fmt.Fprintf(b, "\n<details><summary>Timeline</summary>\n")
		mdTable(b, []string{"at", "what", "proof", "off plan"}, "rllr", rows)
		b.WriteString("\n</details>\n")
	}
	fmt.Fprintf(b, "\n%s\n", mdCode(p.folder))
}

func markdownSweep(b *bytes.Buffer, p sweepPage) {
	fmt.Fprintf(b, "### %s %s · %s\n\n%s\n\n%s\n", emoji(judge.Result(p.verdict)), p.verdict, mdText(p.title), mdText(p.summary), mdText(p.context))
	var heads []string
	align := ""
	for _, h := range p.params {
		heads = append(heads, mdCode(h))
		align += "l"
	}
	heads, align = append(heads, "verdict"), align+"l"
	for _, h := range p.measures {
		heads = append(heads, mdCode(h))
		align += "r"
	}
	var rows [][]string
	for _, r := range p.rows {
		var row []string
		for _, x := range r.params {
			row = append(row, mdCode(x))
		}
		row = append(row, mdText(r.verdict))
		for _, x := range r.values {
			row = append(row, mdText(x))
		}
		rows = append(rows, row)
	}
	mdTable(b, heads, align, rows)
	if why := p.why(); len(why) > 0 {
		b.WriteString("\n")
		name := ""
		for _, x := range why {
			if x[0] != "" {
				name = x[0]
			}
			fmt.Fprintf(b, "- %s: %s\n", mdCode(name), mdText(x[1]))
		}
	}
	fmt.Fprintf(b, "\n%s\n", mdCode(p.folder))
}
