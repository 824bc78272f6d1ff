package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPagesAreCurrent compares docs/cli with the commands; -update rewrites it.
func TestPagesAreCurrent(t *testing.T) {
	folder := filepath.Join("..", "..", "docs", "cli")
	for _, cmd := range Root(Commands()...).Commands() {
		page, want := filepath.Join(folder, cmd.Name()+".md"), Markdown(cmd)
		if *update {
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not current: run make generate", page)
		}
	}
}
