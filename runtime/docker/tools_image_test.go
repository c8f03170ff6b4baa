package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starfall/internal/kafkatools"
)

// TestImageTools holds the tools of the image to the table of tools; -update
// writes them anew.
func TestImageTools(t *testing.T) {
	for _, major := range []string{"3", "4"} {
		var b strings.Builder
		for _, tool := range kafkatools.Table() {
			if class := tool.Class(major); class != "" {
				fmt.Fprintf(&b, "%s %s\n", tool.Name, class)
			}
		}
		path := filepath.Join("..", "..", "images", "kafka", "config", major, "tools")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != b.String() {
			t.Errorf("%s: got\n%s\nwant what internal/kafkatools has:\n%s", path, got, b.String())
		}
	}
}
