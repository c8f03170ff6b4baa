package main

import (
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"starfall/report"
)

// validate validates a document against the published schema with all of its
// objects closed.
func validate(text string) error {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(report.Schema()))
	if err != nil {
		return err
	}
	closeObjects(schema)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", schema); err != nil {
		return err
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// closeObjects forbids undescribed fields of every object.
func closeObjects(x any) {
	switch x := x.(type) {
	case map[string]any:
		if x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, v := range x {
			closeObjects(v)
		}
	case []any:
		for _, v := range x {
			closeObjects(v)
		}
	}
}
