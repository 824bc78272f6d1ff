// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"encoding/json"
	"io"
	"maps"
	"strings"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/command"
)

// report is what promote prints with -o json and -o yaml.
type report struct {
	command.Envelope
	Name     string          `json:"name"`
	Promoted bool            `json:"promoted"`
	Gates    []gate          `json:"gates"`
	Accepted []string        `json:"acceptedUnexercised,omitempty"` // kinds of writes that were not evaluated
	Forced   string          `json:"forced,omitempty"`
	Policy   json.RawMessage `json:"policy,omitempty"`

	policy []byte // as YAML; nil if it is not promoted
}

// newReport asks all gates.
func newReport(name string, q *question, o *options) *report {
	r := &report{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "PolicyPromotion"}, Name: name, Gates: q.gates(), Forced: o.force,
	}
	for _, w := range q.unexercised() {
		for _, accepted := range o.accepted {
			if w.String() == accepted {
				r.Accepted = append(r.Accepted, accepted)
			}
		}
	}
	r.Promoted = r.passed() || o.force != ""
	return r
}

// passed reports whether all gates have passed.
func (r *report) passed() bool { return len(r.failed()) == 0 }

// failed are the names of the gates that refuse.
func (r *report) failed() []string {
	var names []string
	for _, g := range r.Gates {
		if !g.Passed {
			names = append(names, g.Name)
		}
	}
	return names
}

// refusal is why the policy is not promoted, a line for each reason.
func (r *report) refusal() string {
	var lines []string
	for _, g := range r.Gates {
		for _, reason := range g.Reasons {
			lines = append(lines, "  "+g.Name+": "+reason)
		}
	}
	return strings.Join(lines, "\n")
}

// proof is why the policy is promoted.
func (r *report) proof(q *question, o *options, read []digest) *proof {
	p := &proof{
		Time: stamp(q.now), Generation: q.generation, Window: o.window, Counts: map[string]uint64{}, Evaluated: q.evaluated(),
		Accepted: r.Accepted, Forced: r.Forced, Failed: r.failed(), Evidence: read,
	}
	if q.status != nil && q.status.Since != nil {
		p.Since = stamp(q.status.Since.Time)
	}
	for _, e := range q.evidence {
		maps.Copy(p.Counts, e.counts())
	}
	return p
}

// write prints the promoted policy, or everything in another format.
func (r *report) write(w io.Writer, output *command.Output) error {
	if r.policy != nil && output.String() != command.FormatText {
		policy, err := yaml.YAMLToJSON(r.policy)
		if err != nil {
			return err
		}
		r.Policy = policy
	}
	return output.Write(w, r, func(w io.Writer) error {
		_, err := w.Write(r.policy)
		return err
	})
}
