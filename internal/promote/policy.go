// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/rules"
)

// maxPolicy is the maximum size of a file with a policy, in bytes.
const maxPolicy = 8 << 20

// file is a file with one policy.
type file struct {
	name   string
	text   []byte
	policy *manifest.Policy
}

// readFile reads a file that must have one policy, which must be valid. Errors name the file.
func readFile(open func(name string) (io.ReadCloser, error), name string) (*file, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	data, err := input.ReadAll(f, maxPolicy)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", command.Title(name), err)
	}
	found := manifest.Read(bytes.NewReader(data), rules.NewCompiler())
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", command.Title(name), err)
	}
	if n := len(found.Policies); n > 1 {
		return nil, fmt.Errorf("%s: has %d policies, and one is promoted at a time: kubectl get nrp NAME -o yaml", command.Title(name), n)
	}
	return &file{name, data, found.Policies[0]}, nil
}

// title is how a message names the policy.
func (f *file) title() string { return v1alpha1.Kind + " " + text.Quote(f.policy.Object.Name) }

// status returns the status of the policy, or nil if the file has none.
func (f *file) status() (*v1alpha1.NodeRestrictionPolicyStatus, error) {
	if f.policy.Status == nil {
		return nil, nil //nolint:nilnil // A policy without a status is an answer.
	}
	data, err := json.Marshal(f.policy.Status)
	if err != nil {
		return nil, err
	}
	status := &v1alpha1.NodeRestrictionPolicyStatus{}
	if err := json.Unmarshal(data, status); err != nil {
		return nil, fmt.Errorf("%s: status: %s", command.Title(f.name), text.Bound(err.Error(), maxMessage))
	}
	return status, nil
}
