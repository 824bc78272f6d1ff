package docs_test

import (
	"flag"
	"os"
	"testing"

	"noderestriction.plus/internal/docs"
	"noderestriction.plus/policy"
)

var update = flag.Bool("update", false, "rewrite the generated pages")

func TestPagesAreCurrent(t *testing.T) {
	for path, want := range map[string]string{
		"../../docs/rules.md": docs.Rules(policy.Rules()),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not current: run make generate", path)
		}
	}
}
