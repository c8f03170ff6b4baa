// This file defines the text of one run: timeline, phases, claims, reports and
// the verdict.

package report
