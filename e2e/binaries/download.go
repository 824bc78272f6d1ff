// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// downloadVariable is the environment variable that says whether programs may be downloaded: 0 forbids it.
	downloadVariable = "NRP_DOWNLOAD"
	// indexVariable is the environment variable with the URL of another index of archives.
	indexVariable = "NRP_ENVTEST_INDEX"
	// defaultIndex is the index of the archives that the project controller-tools publishes for tests.
	defaultIndex = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"

	// probeTimeout bounds the time to find out that the network does not have the index.
	probeTimeout = 5 * time.Second
	// downloadTimeout bounds the time of a download. Building takes about as long.
	downloadTimeout = 5 * time.Minute
)

// errForbidden says that the environment forbids downloads.
var errForbidden = errors.New(downloadVariable + "=0 forbids it")

// SetupEnvtest is the tool with which the project controller-runtime downloads programs for tests. [All] does not include it.
func SetupEnvtest() Program {
	const module = "sigs.k8s.io/controller-runtime/tools/setup-envtest"
	return Program{
		Name: "setup-envtest", Variable: "NRP_SETUP_ENVTEST", module: module, pkg: module, goMod: "e2e/tools/setup-envtest",
	}
}

// Built reports whether [Path] returns the programs without building one.
func Built(programs ...Program) (bool, error) {
	for _, p := range programs {
		path, err := given(p)
		if err != nil {
			return false, err
		}
		if path != "" {
			continue
		}
		path, _, err = p.cached()
		if err != nil || !isExecutable(path) {
			return false, err
		}
	}
	return true, nil
}

// Download downloads etcd, kube-apiserver and kubectl, and returns their directory, for KUBEBUILDER_ASSETS. They have the release of
// [KubeAPIServer], or the newest patch release of the same minor version that was published for tests. setup-envtest verifies their
// checksums. An error says why nothing can be downloaded.
func Download(ctx context.Context, log io.Writer) (string, error) {
	if os.Getenv(downloadVariable) == "0" {
		return "", errForbidden
	}
	index := os.Getenv(indexVariable)
	if index == "" {
		index = defaultIndex
	}
	if err := probe(ctx, index); err != nil {
		return "", err
	}
	version, err := KubeAPIServer().Version()
	if err != nil {
		return "", err
	}
	tool, err := Path(ctx, log, SetupEnvtest())
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	exact := strings.TrimPrefix(version, "v")
	minor := exact[:strings.LastIndex(exact, ".")] + ".x"
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	var failed error
	for _, wanted := range []string{exact, minor} {
		fmt.Fprintf(log, "Downloading etcd, kube-apiserver and kubectl %s, as %s lists them\n", wanted, index)
		dir, err := use(ctx, tool, wanted, index, filepath.Join(cache, "envtest"))
		if err == nil {
			return dir, nil
		}
		failed = err
	}
	return "", failed
}

// probe returns an error if there is no index, soon.
func probe(ctx context.Context, index string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, index, http.NoBody)
	if err != nil {
		return fmt.Errorf("%s: %w", indexVariable, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", index, response.Status)
	}
	return nil
}

// use downloads a version, unless the store has it, and returns its directory.
func use(ctx context.Context, tool, version, index, store string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, "use", version, "--index", index, "--bin-dir", store, "--print", "path")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("setup-envtest use %s: %w: %s", version, err, bytes.TrimSpace(stderr.Bytes()))
	}
	dir := strings.TrimSpace(stdout.String())
	for _, p := range []Program{Etcd(), KubeAPIServer(), Kubectl()} {
		if err := requireExecutable("setup-envtest use "+version, filepath.Join(dir, p.Name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}
