// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package gobuild_test

import (
	"os"
	"strings"
	"testing"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/releasetest"
)

func TestParsePlatforms(t *testing.T) {
	for _, test := range []struct{ name, text, want, problem string }{
		{name: "one platform", text: "linux/amd64", want: "linux/amd64"},
		{name: "two platforms", text: "linux/amd64,darwin/arm64", want: "linux/amd64 darwin/arm64"},
		{name: "no architecture", text: "linux", problem: `platform "linux" must be`},
		{name: "a variant", text: "linux/arm/v7", problem: `platform "linux/arm/v7" must be`},
		{name: "nothing", text: "", problem: `platform "" must be`},
		{name: "a platform twice", text: "linux/amd64,linux/amd64", problem: "platform linux/amd64 is named twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			platforms, err := gobuild.ParsePlatforms(test.text)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Fatalf("error %v, want %q", err, test.problem)
				}
				return
			}
			releasetest.Check(t, err)
			var names []string
			for _, p := range platforms {
				names = append(names, p.String())
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("platforms %s, want %s", got, test.want)
			}
		})
	}
}

// TestEnvironmentDoesNotCount builds with an environment that would change the program.
func TestEnvironmentDoesNotCount(t *testing.T) {
	source := gobuild.Source{Root: releasetest.Project(t)}
	p := gobuild.Platform{OS: "linux", Arch: "amd64"}
	first, err := source.Build(t.Context(), gobuild.Webhook(), p, t.TempDir())
	releasetest.Check(t, err)
	for name, value := range map[string]string{"GOFLAGS": "-tags=other -ldflags=-X=main.a=b", "GOAMD64": "v3", "GODEBUG": "x509sha1=1"} {
		t.Setenv(name, value)
	}
	second, err := source.Build(t.Context(), gobuild.Webhook(), p, t.TempDir())
	releasetest.Check(t, err)
	a, err := os.ReadFile(first)
	releasetest.Check(t, err)
	b, err := os.ReadFile(second)
	releasetest.Check(t, err)
	if string(a) != string(b) {
		t.Error("the environment changed the program")
	}
}

func TestRead(t *testing.T) {
	t.Run("a tagged commit gives the version of its tag", func(t *testing.T) {
		info := build(t, releasetest.Commit(t, releasetest.Project(t), "v0.1.0"))
		if info.Version != "v0.1.0" || len(info.Revision) != 40 || info.Modified || info.Time.Year() != 2026 || info.Time.Hour() != 10 {
			t.Errorf("info %+v", info)
		}
	})
	t.Run("a change that is not committed is reported", func(t *testing.T) {
		dir := releasetest.Project(t)
		source := releasetest.Commit(t, dir, "v0.1.0")
		releasetest.Write(t, dir+"/LICENSE", "Another licence.\n")
		if info := build(t, source); !info.Modified {
			t.Errorf("info %+v, want a modified one", info)
		}
	})
	t.Run("without version control there is no version", func(t *testing.T) {
		info := build(t, gobuild.Source{Root: releasetest.Project(t)})
		if info.Version != "" || info.Revision != "" || info.Time.Unix() != 0 {
			t.Errorf("info %+v", info)
		}
	})
}

func build(t *testing.T, source gobuild.Source) gobuild.Info {
	t.Helper()
	path, err := source.Build(t.Context(), gobuild.Webhook(), releasetest.Native(), t.TempDir())
	releasetest.Check(t, err)
	info, err := gobuild.Read(path)
	releasetest.Check(t, err)
	return info
}

// TestReleaseGo checks that the Dockerfile names a version of Go.
func TestReleaseGo(t *testing.T) {
	version, err := gobuild.ReleaseGo(releasetest.Root(t))
	releasetest.Check(t, err)
	if !strings.HasPrefix(version, "go1.") {
		t.Errorf("version %q", version)
	}
}
