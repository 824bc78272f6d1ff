// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/mod/modfile"

	"noderestriction.plus/e2e/project"
)

// ModuleDir returns the directory with the source of a module, in the version that a go.mod requires, and downloads it if necessary.
// The directory of the go.mod is relative to the root of the repository; its go.sum has the checksum.
func ModuleDir(ctx context.Context, goMod, module string) (string, error) {
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	version, err := ModuleVersion(filepath.Join(root, goMod, "go.mod"), module)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir, cmd.Env = filepath.Join(root, goMod), append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil || err != nil {
		return "", fmt.Errorf("go mod download %s@%s: %w: %s", module, version, err, answer.Error)
	}
	return answer.Dir, nil
}

// ModuleVersion returns the version of a module that the go.mod at a path requires.
func ModuleVersion(path, module string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	file, err := modfile.ParseLax(path, data, nil)
	if err != nil {
		return "", err
	}
	for _, require := range file.Require {
		if require.Mod.Path == module {
			return require.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", path, module)
}
