// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const kubernetesModule = "k8s.io/kubernetes"

// Release returns the release of Kubernetes that a version names: the newest patch release of a minor version such as 1.31 that the
// module proxy knows, or the release itself, such as 1.31.14.
func Release(ctx context.Context, version string) (string, error) {
	query := "v" + strings.TrimPrefix(version, "v")
	if !semver.IsValid(query) || strings.Count(query, ".") == 0 || semver.Prerelease(query)+semver.Build(query) != "" {
		return "", fmt.Errorf("%q is not a version of Kubernetes, such as 1.31 or 1.31.14", version)
	}
	if strings.Count(query, ".") == 2 {
		return query, nil
	}
	module, err := goJSON(ctx, "list", "-mod=mod", "-m", "-json", kubernetesModule+"@"+query)
	return module.Version, err
}

// downloaded is the part of the answer of go mod download and go list that is needed here.
type downloaded struct{ Version, GoMod string }

// goJSON runs a go command outside of any module and decodes its output.
func goJSON(ctx context.Context, args ...string) (downloaded, error) {
	var out downloaded
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = os.TempDir(), append(os.Environ(), "GOWORK=off")
	data, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return out, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// writeModule writes a module from which a release of a Kubernetes program is built, in the directory of the build. Checksums come
// from Go's checksum database. It is not in the repository, because a go.mod there would have to be kept current.
func (p Program) writeModule(ctx context.Context, b *build, root, release string) error {
	if err := errors.Join(os.RemoveAll(b.dir), os.MkdirAll(b.dir, 0o755)); err != nil {
		return err
	}
	// Only its go.mod is needed, but it comes with the source, which the build needs.
	kubernetes, err := goJSON(ctx, "mod", "download", "-json", kubernetesModule+"@"+release)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(kubernetes.GoMod)
	if err != nil {
		return err
	}
	goMod, err := releaseGoMod(data, release)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "go.mod"), goMod, 0o644); err != nil {
		return err
	}
	if err := p.copySources(root, b.dir, release); err != nil {
		return err
	}
	// It completes go.mod and go.sum.
	fmt.Fprintf(b.log, "%s: downloading modules\n", b.label)
	out, err := b.command(ctx, "list", "-mod=mod", "-deps", p.pkg).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go list: %w\n%s", err, out)
	}
	return err
}

// releaseGoMod returns a go.mod that requires a release of Kubernetes, with the staging modules released with it. The data is the
// go.mod of that release, which determines the settings of its programs: its version of Go, and GODEBUG.
func releaseGoMod(data []byte, release string) ([]byte, error) {
	kubernetes, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, err
	}
	var out modfile.File
	err = errors.Join(
		out.AddModuleStmt("noderestriction.plus/e2e/tools"),
		out.AddGoStmt(kubernetes.Go.Version),
	)
	for _, setting := range kubernetes.Godebug {
		err = errors.Join(err, out.AddGodebug(setting.Key, setting.Value))
	}
	err = errors.Join(err, out.AddRequire(kubernetesModule, release))
	staging := "v0" + strings.TrimPrefix(release, "v1")
	for _, replace := range kubernetes.Replace {
		if strings.HasPrefix(replace.New.Path, "./staging/") {
			err = errors.Join(err, out.AddReplace(replace.Old.Path, "", replace.Old.Path, staging))
		}
	}
	if err != nil {
		return nil, err
	}
	return out.Format()
}

// sources returns the Go files of a program of our own for a version. Where releases differ, a directory such as _before-1.37 has
// files for older ones, which take the place of those with the same name.
func (p Program) sources(root, version string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, p.source, "*.go"))
	if err != nil {
		return nil, err
	}
	variants, err := filepath.Glob(filepath.Join(root, p.source, "_before-*"))
	if err != nil {
		return nil, err
	}
	for _, variant := range slices.Backward(variants) { // the oldest last: it takes precedence
		_, bound, _ := strings.Cut(filepath.Base(variant), "_before-")
		if semver.Compare(version, "v"+bound) >= 0 {
			continue
		}
		for i, file := range files {
			if other := filepath.Join(variant, filepath.Base(file)); exists(other) {
				files[i] = other
			}
		}
	}
	return files, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// copySources copies a program of our own into the module at a directory, where its import path is that in e2e/tools.
func (p Program) copySources(root, dir, version string) error {
	if p.source == "" {
		return nil
	}
	files, err := p.sources(root, version)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(p.goMod, p.source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		return err
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name, filepath.Base(file)), source, 0o644); err != nil {
			return err
		}
	}
	return nil
}
