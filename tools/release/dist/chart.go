// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
	"sigs.k8s.io/yaml"
)

const (
	chartDirectory = "charts/node-restriction-plus"
	namespace      = "node-restriction-plus"
	// oldest is the oldest release of Kubernetes that the chart supports. What install.yaml contains does not depend on newer ones.
	oldest = "1.31.0"
)

// chart is what Chart.yaml says of itself.
type chart struct {
	Version    string `json:"version"`
	AppVersion string `json:"appVersion"`
}

func readChart(root string) (chart, error) {
	var c chart
	data, err := os.ReadFile(filepath.Join(root, chartDirectory, "Chart.yaml"))
	if err != nil {
		return c, err
	}
	return c, yaml.Unmarshal(data, &c)
}

// AppVersion returns the version in the chart of the source, such as v0.1.0.
func AppVersion(root string) (string, error) {
	c, err := readChart(root)
	return c.AppVersion, err
}

// helm runs Helm with directories of its own, so that no plugin or setting of the user counts.
type helm struct {
	path  string
	home  string
	epoch int64 // the time of the files in an archive
}

func (h helm) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, h.path, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+h.home, "HELM_CONFIG_HOME="+h.home, "HELM_DATA_HOME="+h.home, "HELM_PLUGINS="+h.home,
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(h.epoch, 10))
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w\n%s", args[0], err, problems.Bytes())
	}
	return out.Bytes(), nil
}

// packageChart writes the chart into an archive in a directory, and returns the path. It installs the image of the release by its digest.
func (r *release) packageChart(ctx context.Context, dir string) (string, error) {
	staged := filepath.Join(r.work, "chart", "node-restriction-plus")
	if err := os.CopyFS(staged, os.DirFS(filepath.Join(r.Root, chartDirectory))); err != nil {
		return "", err
	}
	if err := r.pinImage(staged); err != nil {
		return "", err
	}
	if err := r.annotate(filepath.Join(staged, "Chart.yaml")); err != nil {
		return "", err
	}
	version := strings.TrimPrefix(r.version, "v")
	_, err := r.helm.run(ctx, "package", staged, "--destination="+dir, "--version="+version, "--app-version="+r.version)
	return filepath.Join(dir, "node-restriction-plus-"+version+".tgz"), err
}

// pinImage writes the image's name and digest into the values, and into the table of the README.
func (r *release) pinImage(dir string) error {
	for _, edit := range []struct{ file, pattern, want string }{
		{"values.yaml", `(?m)(^image:\n(?:  .*\n)*?  repository: )node-restriction-plus$`, "${1}" + r.Image.Name()},
		{"values.yaml", `(?m)(^image:\n(?:  .*\n)*?  digest: )""$`, "${1}" + r.digest},
		{"README.md", "(?m)(^\\| `image.repository` \\| `\")node-restriction-plus(\"`)", "${1}" + r.Image.Name() + "${2}"},
		{"README.md", "(?m)(^\\| `image.digest` \\| `\")(\"`)", "${1}" + r.digest + "${2}"},
	} {
		path := filepath.Join(dir, edit.file)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pattern := regexp.MustCompile(edit.pattern)
		if n := len(pattern.FindAllIndex(data, -1)); n != 1 {
			return fmt.Errorf("%s: %q must match once, and matches %d times", path, edit.pattern, n)
		}
		if err := os.WriteFile(path, pattern.ReplaceAll(data, []byte(edit.want)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// annotate adds to Chart.yaml what Artifact Hub shows of a release.
func (r *release) annotate(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c map[string]any
	if err := yaml.Unmarshal(data, &c); err != nil {
		return err
	}
	annotations, ok := c["annotations"].(map[string]any)
	if !ok {
		return errors.New(file + ": has no annotations")
	}
	images, err := yaml.Marshal([]map[string]any{{
		"name": "node-restriction-plus", "image": r.Image.Name() + ":" + r.version + "@" + r.digest, "platforms": platformNames(r.Images),
	}})
	if err != nil {
		return err
	}
	annotations["artifacthub.io/images"] = string(images)
	annotations["artifacthub.io/prerelease"] = strconv.FormatBool(r.prerelease())
	if data, err = yaml.Marshal(c); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// installHeader stands in front of the objects of install.yaml.
const installHeader = `# NodeRestriction-plus %s for kubectl, with the default values of the chart and pods on control-plane nodes.
#
#   kubectl apply -f install.yaml
#
# Generated from the chart by make release. docs/install.md describes the values, which Helm can change.
apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels:
    pod-security.kubernetes.io/enforce: restricted
`

// WriteInstall renders the chart of the source, without building anything, as the install.yaml of a release with this version and image.
func WriteInstall(ctx context.Context, o Options, version, digest, file string) error {
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		return fmt.Errorf("digest %q: must be sha256: and 64 hexadecimal digits", digest)
	}
	if !semver.IsValid(version) {
		return fmt.Errorf("version %q: must be a version such as v0.1.0", version)
	}
	work, err := os.MkdirTemp("", "install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r := &release{Options: o, work: work, version: version, digest: digest, helm: helm{path: o.Helm, home: filepath.Join(work, "helm")}}
	chart, err := r.packageChart(ctx, work)
	if err != nil {
		return err
	}
	return r.writeInstall(ctx, chart, file)
}

// writeInstall renders the packaged chart for kubectl apply.
func (r *release) writeInstall(ctx context.Context, chart, file string) error {
	out, err := r.helm.run(ctx, "template", "node-restriction-plus", chart, "--namespace="+namespace, "--skip-tests", "--kube-version="+oldest,
		// With the API known, policies are objects like all others, not hooks.
		"--api-versions=noderestriction.plus/v1alpha1",
		`--set-json=nodeSelector={"node-role.kubernetes.io/control-plane":""}`)
	if err != nil {
		return err
	}
	header := fmt.Sprintf(installHeader, r.version, namespace)
	return os.WriteFile(file, append([]byte(header), out...), 0o644)
}
