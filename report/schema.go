// This file defines how the JSON Schema of results is published.

package report

import _ "embed"

//go:embed schema.json
var schema string

// Schema is the JSON Schema, draft 2020-12, of what JSON writes.
func Schema() string { return schema }
