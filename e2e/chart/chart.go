// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart renders the chart with Helm's library, for programs that cannot wait until Helm is built. Tests use Helm, as users do.
package chart

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"

	"noderestriction.plus/e2e/project"
)

// Render renders the chart of the clone for a release of Kubernetes, such as v1.37.2, with values in the form of helm's flag --set. It
// returns what helm template prints with the same values, but not in the order of installation.
func Render(ctx context.Context, kubeVersion string, values []string) ([]byte, error) {
	root, err := project.Root()
	if err != nil {
		return nil, err
	}
	loaded, err := loader.LoadDir(filepath.Join(root, "charts", "node-restriction-plus"))
	if err != nil {
		return nil, err
	}
	set := map[string]any{}
	for _, value := range values {
		if err := strvals.ParseInto(value, set); err != nil {
			return nil, fmt.Errorf("value %q: %w", value, err)
		}
	}
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	release := common.ReleaseOptions{Name: "release-name", Namespace: "default", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(loaded, set, release, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{}.RenderWithContext(ctx, loaded, all)
	if err != nil {
		return nil, err
	}
	var manifests []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && !strings.HasSuffix(name, "/NOTES.txt") {
			manifests = append(manifests, text)
		}
	}
	return []byte(strings.Join(manifests, "\n---\n")), nil
}
