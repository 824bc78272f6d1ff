// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/e2e/project"
)

func TestReleasesAreNamedByVersions(t *testing.T) {
	for _, test := range []struct{ version, release string }{
		{"1.31.14", "v1.31.14"},
		{"v1.31.14", "v1.31.14"},
		{"1", ""},
		{"1.31.0-rc.1", ""},
		{"latest", ""},
		{"1.31@latest", ""},
		{"", ""},
	} {
		t.Run(test.version, func(t *testing.T) {
			release, err := Release(t.Context(), test.version)
			if release != test.release || (err == nil) != (test.release != "") {
				t.Errorf("got %q, %v", release, err)
			}
		})
	}
}

func TestReleaseHasTheSettingsOfItsGoMod(t *testing.T) {
	const kubernetes = `module k8s.io/kubernetes

go 1.24.0

godebug default=go1.24

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	example.com/other => example.com/fork v1.0.0
)
`
	const want = `module noderestriction.plus/e2e/tools

go 1.24.0

godebug default=go1.24

require k8s.io/kubernetes v1.34.1

replace k8s.io/api => k8s.io/api v0.34.1
`
	got, err := releaseGoMod([]byte(kubernetes), "v1.34.1")
	if err != nil || string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s\n%v", got, want, err)
	}
}

func TestOtherReleasesHaveOtherPrograms(t *testing.T) {
	root, err := project.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NRP_KUBELET_VERSION", "v1.34.1")
	t.Setenv("NRP_KUBE_APISERVER_VERSION", "")
	t.Setenv("NRP_KUBELET", "/usr/bin/kubelet")
	if path, err := given(Kubelet()); path != "" || err != nil {
		t.Errorf("the release does not come first: %q, %v", path, err)
	}
	if version, err := Kubelet().version(root); version != "v1.34.1" || err != nil {
		t.Errorf("got %q, %v", version, err)
	}
	if version, err := KubeAPIServer().version(root); version == "v1.34.1" || err != nil {
		t.Errorf("got %q, %v for another program", version, err)
	}
}

func TestOlderReleasesHaveTheirOwnSources(t *testing.T) {
	root, err := project.Root()
	if err != nil {
		t.Fatal(err)
	}
	for version, directory := range map[string]string{
		"v1.34.1": "_before-1.36", "v1.36.3": "_before-1.37", "v1.37.0": "kubelet", "v1.100.0": "kubelet",
	} {
		files, err := Kubelet().sources(root, version)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(files, func(file string) bool { return strings.HasSuffix(file, "/release.go") })
		if i < 0 || filepath.Base(filepath.Dir(files[i])) != directory || len(files) < 4 {
			t.Errorf("%s: got %v", version, files)
		}
	}
}
