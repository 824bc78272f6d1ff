// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// archive returns an archive as controller-tools publishes them.
func archive(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	for _, p := range []Program{Etcd(), KubeAPIServer(), Kubectl()} {
		text := []byte("#!/bin/sh\necho " + p.Name + "\n")
		header := &tar.Header{Name: "controller-tools/envtest/" + p.Name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}
		if err := files.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(files.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// publish serves an archive of a version, and an index that says that it has this checksum. It returns the URL of the index.
func publish(t *testing.T, version string, content []byte, sum string) string {
	t.Helper()
	name := fmt.Sprintf("envtest-%s-%s-%s.tar.gz", version, runtime.GOOS, runtime.GOARCH)
	files := http.NewServeMux()
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	files.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "releases:\n  %s:\n    %s:\n      hash: %s\n      selfLink: %s/%s\n", version, name, sum, server.URL, name)
	})
	files.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	return server.URL + "/index.yaml"
}

func TestDownload(t *testing.T) {
	exact, err := KubeAPIServer().Version()
	if err != nil {
		t.Fatal(err)
	}
	tool, err := Path(t.Context(), t.Output(), SetupEnvtest()) // before the cache directory is another one
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NRP_SETUP_ENVTEST", tool)
	published := archive(t)
	sum := fmt.Sprintf("%x", sha512.Sum512(published))
	other := exact[:strings.LastIndex(exact, ".")] + ".99"
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	for _, test := range []struct {
		name, index, forbidden, err string
	}{
		{name: "the same release", index: publish(t, exact, published, sum)},
		{name: "another patch release", index: publish(t, other, published, sum)},
		{name: "another minor release", index: publish(t, "v1.20.0", published, sum), err: "setup-envtest use 1."},
		{name: "the checksum is another one", index: publish(t, exact, published, strings.Repeat("0", 128)), err: "checksum"},
		{name: "there is no index", index: gone.URL + "/index.yaml", err: "404"},
		{name: "there is no network", index: "http://127.0.0.1:1/index.yaml", err: "refused"},
		{name: "the index is no URL", index: "%", err: indexVariable},
		{name: "the user forbids it", index: publish(t, exact, published, sum), forbidden: "0", err: errForbidden.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(indexVariable, test.index)
			t.Setenv(downloadVariable, test.forbidden)
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			dir, err := Download(t.Context(), t.Output())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %q, %v, want the error %q", dir, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("KUBEBUILDER_ASSETS", dir)
			for _, p := range []Program{Etcd(), KubeAPIServer(), Kubectl()} {
				if found, err := given(p); err != nil || found != filepath.Join(dir, p.Name) {
					t.Errorf("%s: got %q, %v", p.Name, found, err)
				}
			}
			if built, err := Built(Etcd(), KubeAPIServer(), Kubectl()); err != nil || !built {
				t.Errorf("got %t, %v: what was downloaded would be built", built, err)
			}
		})
	}
}
