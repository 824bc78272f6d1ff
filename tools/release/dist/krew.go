// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/krew/pkg/constants"
	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
)

// pluginName is the name of the plugin in krew: kubectl nrp.
const pluginName = "nrp"

// writeKrew writes the manifest for krew, after the archives that it names.
func (r *release) writeKrew() error {
	plugin := index.Plugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: constants.CurrentAPIVersion, Kind: constants.PluginKind},
		ObjectMeta: metav1.ObjectMeta{Name: pluginName},
		Spec: index.PluginSpec{
			Version:          r.version,
			Homepage:         image.Homepage,
			ShortDescription: "Test policies for kubelets' writes and inspect denials",
			Description: "Checks, compares and tries the policies of NodeRestriction-plus, which restrict what the credential of\n" +
				"a kubelet may write, without a cluster; learns a policy from an audit log; shows denied writes; tries\n" +
				"attacks as dry runs; and finds what weakens the isolation of kubelets in a cluster.\n",
		},
	}
	for _, p := range r.Plugins {
		name := archiveName(gobuild.Plugin(), r.version, p)
		sum, err := checksum(filepath.Join(r.Out, name))
		if err != nil {
			return err
		}
		executable := p.Executable(gobuild.Plugin())
		plugin.Spec.Platforms = append(plugin.Spec.Platforms, index.Platform{
			URI: fmt.Sprintf("%s/%s/%s", r.Downloads, r.version, name), Sha256: sum, Bin: executable,
			Files: []index.FileOperation{
				{From: executable, To: "."}, {From: "LICENSE", To: "."}, {From: "THIRD_PARTY_NOTICES", To: "."},
			},
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": p.OS, "arch": p.Arch}},
		})
	}
	data, err := yaml.Marshal(plugin)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Out, pluginName+constants.ManifestExtension), data, 0o644)
}
