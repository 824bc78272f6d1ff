// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// StaticPolicies is a directory with ValidatingAdmissionPolicies for an API server. The server reads it at its start, and then once a
// minute.
type StaticPolicies struct {
	// Dir is the directory of the manifests.
	Dir string
	// Args are the flags of the API server.
	Args []string
}

// NewStaticPolicies makes such a directory in another one, which must exist, and the configuration that names it.
func NewStaticPolicies(parent string) (*StaticPolicies, error) {
	p := &StaticPolicies{Dir: filepath.Join(parent, "policies")}
	configuration := filepath.Join(parent, "admission.yaml")
	p.Args = []string{"--admission-control-config-file=" + configuration}
	return p, errors.Join(os.MkdirAll(p.Dir, 0o755), os.WriteFile(configuration, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionPolicy
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ValidatingAdmissionPolicyConfiguration
    staticManifestsDir: %s
`, p.Dir), 0o644))
}

// Write writes a manifest, which may be one that exists.
func (p *StaticPolicies) Write(name string, manifest []byte) error {
	// A reader must not see half a file.
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path+".new", manifest, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Remove removes a manifest.
func (p *StaticPolicies) Remove(name string) error { return os.Remove(filepath.Join(p.Dir, name)) }
