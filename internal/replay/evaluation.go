// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// evaluation evaluates one write.
type evaluation struct {
	replay *Replay
	w      *written
	scene  *scene
	out    *Write
	facts  lookups
	// whether the object as the log has it last was used, or could be used.
	stored bool
	// wants says that the quantities are not all known.
	wants bool
	// evaluated is the request that was evaluated last, if it has violations.
	evaluated *policy.Request
}

// evaluate evaluates a write of a kubelet, or of a node agent, by all policies.
func (r *Replay) evaluate(w *written) error {
	j := &evaluation{replay: r, w: w, out: w.output()}
	switch {
	case w.isKubelets && w.node == program.Name+"-probe" && w.dryRun:
		return nil // the enforcement probe of the webhook, which no policy evaluates
	case w.isKubelets && w.node == "":
		j.out.Violations = []Violation{{PolicyViolation: policy.PolicyViolation{
			Rule: policy.Unverified, Violation: policy.Violation{Detail: "the user name of the kubelet names no node"},
		}}}
		j.out.Evidence = Stored
		return r.each(j.out)
	}
	pending := r.units.evaluating(&j.out.Request)
	j.out.Rules = len(pending)
	if w.isAgents && w.node == "" && !w.noExtra {
		j.withoutNode(pending)
	}
	switch {
	case len(pending) == 0:
	case w.noExtra:
		for _, u := range pending {
			j.out.Unknown = append(j.out.Unknown, Unknown{Policy: u.policy, Rule: u.rule, Part: nodeNameExtra, Reason: HasNoExtra})
		}
	case w.hasParts():
		j.evaluateParts(pending)
	default:
		j.evaluateWhole(pending)
	}
	j.finish()
	return r.each(j.out)
}

// output returns the write without its verdicts.
func (w *written) output() *Write {
	e := w.event
	user := userOf(e)
	if w.isKubelets {
		user = review.UserOf(w.node, e.Client().Groups...)
	}
	id, _ := review.SubjectOf(user)
	return &Write{
		Time: e.Received, UserAgent: e.UserAgent, AuditID: e.AuditID, Annotations: e.Annotations, Level: e.Level,
		Impersonated: e.ImpersonatedUser != nil, FailedOpen: w.failedOpen(), Code: e.ResponseStatus.Code,
		Request: policy.Request{Subject: w.subject, NodeName: w.node, InNodesGroup: id.InNodesGroup, User: user, Write: w.write()},
	}
}

// write returns the write without its objects.
func (w *written) write() policy.Write {
	o := &w.event.ObjectRef
	return policy.Write{
		Operation: w.operation, Resource: w.resource, Version: "v1", Subresource: o.Subresource, Namespace: o.Namespace, Name: o.Name,
		DryRun: w.dryRun,
	}
}

// evaluateParts evaluates a write of a Node or a pod.
func (j *evaluation) evaluateParts(pending []*unit) {
	j.scene = j.replay.scene(j.w)
	j.set(&j.out.Request, j.scene.old, j.scene.updated, j.scene.gaps)
	all := pending
	pending = j.certain(pending)
	wants := j.wants
	before := j.last()
	pending = j.whatever(pending)
	pending = j.complete(pending, before)
	if wants {
		j.quantities(all, before)
	}
	for _, u := range pending {
		j.unknown(u)
	}
}

// quantities decides whether a quantity of the write is too expensive, although the write does not have all of them. A policy does not
// evaluate such a write.
func (j *evaluation) quantities(all []*unit, before *previous) {
	r := j.out.Request
	if before != nil {
		j.set(&r, before.old, before.updated, before.gaps)
	}
	for i, u := range all {
		if slices.ContainsFunc(all[:i], func(other *unit) bool { return other.policy == u.policy }) {
			continue
		}
		lacks := Unknown{Policy: u.policy, Rule: policy.Unverified, Part: "quantities", Reason: j.scene.why}
		found, _ := j.evaluate(u.set, &r)
		if j.wants {
			j.out.Unknown = append(j.out.Unknown, lacks)
			continue
		}
		if isUnverifiable(found) {
			j.add(found, true)
		}
		lacks.Reason = IsIncomplete
		j.out.Assumes = append(j.out.Assumes, lacks)
	}
}

// set gives a request its objects.
func (j *evaluation) set(r *policy.Request, old, updated []part, gaps *object.Gaps) {
	r.Object, r.OldObject, r.Parts, r.OldParts, r.Gaps, r.Options = nil, nil, nil, nil, gaps, nil
	if r.Operation != admissionv1.Delete {
		r.Object = compose(updated)
	} else {
		r.Options = j.w.event.RequestObject
	}
	if r.Operation != admissionv1.Create {
		r.OldObject = compose(old)
	}
	r.Parts, r.OldParts = partsOf(r.Object), partsOf(r.OldObject)
}

// partsOf splits an object, so that all evaluations share that. It returns nil for an object that cannot be split, which is an error of
// each evaluation.
func partsOf(raw []byte) object.Parts {
	if raw == nil {
		return nil
	}
	_, parts, err := object.ReadObject(jsontext.NewDecoder(buffer(raw)), raw)
	if err != nil {
		return nil
	}
	return parts
}

// certain evaluates the units that ask for nothing that is not known, and returns the others.
func (j *evaluation) certain(pending []*unit) []*unit {
	var alone, rest []*unit
	for _, u := range pending {
		if j.scene.everything || u.readsWhole() || slices.ContainsFunc(j.scene.touched, u.reads) {
			alone = append(alone, u)
		} else {
			rest = append(rest, u)
		}
	}
	if len(rest) > 0 {
		if found, known := j.evaluate(j.replay.units.together(rest), &j.out.Request); known {
			j.add(found, false)
			rest = nil
		}
	}
	var left []*unit
	for _, u := range slices.Concat(rest, alone) {
		if found, known := j.evaluateUnit(u, &j.out.Request); known {
			j.add(found, false)
			continue
		}
		left = append(left, u)
	}
	return left
}

// evaluateUnit evaluates a request by a unit, and reports whether all that its rule has asked for is known.
func (j *evaluation) evaluateUnit(u *unit, r *policy.Request) ([]policy.PolicyViolation, bool) {
	found, known := j.evaluate(u.set, r)
	return found, known && !(u.readsWhole() && u.lacks(r))
}

// evaluate evaluates a request by a set, and reports whether all that its rules have asked for is known.
func (j *evaluation) evaluate(set *policy.Set, r *policy.Request) ([]policy.PolicyViolation, bool) {
	j.facts = lookups{}
	r.Facts = &j.facts
	if r.Gaps != nil {
		r.Gaps.Reset()
	}
	d := set.Evaluate(r)
	r.Facts = nil
	if len(d.Violations) > 0 {
		evaluated := *r
		j.evaluated = &evaluated
	}
	j.wants = r.Gaps != nil && r.Gaps.WantQuantities()
	if j.wants && isUnverifiable(d.Violations) {
		return nil, false // a quantity that is not known may excuse it
	}
	if j.facts.asked || d.Err != nil || r.Gaps != nil && len(r.Gaps.Asked()) > 0 {
		return nil, false
	}
	if j.w.event.Format == auditlog.GKE && slices.ContainsFunc(d.Violations, isOfGroup) {
		return nil, false // the rule is only for kubelets of the group system:nodes
	}
	return d.Violations, true
}

// isOfGroup reports whether a violation is one for members of the group system:nodes only.
func isOfGroup(v policy.PolicyViolation) bool { return strings.HasPrefix(string(v.Rule), "baseline-") }

// add adds violations of the request that was evaluated last.
func (j *evaluation) add(found []policy.PolicyViolation, assumes bool) {
	for _, v := range found {
		if v.Rule == policy.WithoutNode {
			continue // see withoutNode
		}
		if v.Rule == policy.Unverified && slices.ContainsFunc(j.out.Violations, func(other Violation) bool {
			return other.Policy == v.Policy && other.Rule == v.Rule
		}) {
			continue // each rule of the policy says so
		}
		j.out.Violations = append(j.out.Violations, Violation{v, assumes, j.evaluated})
	}
}

// unknown adds a unit without a verdict.
func (j *evaluation) unknown(u *unit) { j.out.Unknown = append(j.out.Unknown, j.lacks(u)) }

// lacks returns what a unit lacks for a verdict.
func (j *evaluation) lacks(u *unit) Unknown {
	j.evaluate(u.set, &j.out.Request)
	lacks := Unknown{Policy: u.policy, Rule: u.rule, Reason: IsLookup}
	if j.scene != nil {
		lacks.Reason = j.scene.why
	}
	asked := []string(nil)
	if g := j.out.Request.Gaps; g != nil {
		asked = g.Asked()
	}
	switch {
	case j.facts.asked && len(asked) == 0:
		lacks.Part, lacks.Reason = j.facts.what, IsLookup
	case len(asked) == 0 && isOfGroup(policy.PolicyViolation{Rule: u.rule}) && j.w.event.Format == auditlog.GKE:
		lacks.Reason = HasNoGroups
	case len(asked) == 0 && j.scene != nil && lacks.Reason == "":
		lacks.Reason = IsUnreadable
	case len(asked) > 0 && asked[0] == ownership().String() && j.w.patch != nil && j.w.patch.applies:
		lacks.Part, lacks.Reason = asked[0], IsApplied
	case len(asked) > 0:
		lacks.Part = asked[0]
		if lacks.Reason == "" {
			lacks.Reason = IsStripped // nothing else is missing
		}
	}
	return lacks
}

// finish says how the verdicts were reached.
func (j *evaluation) finish() {
	out := j.out
	switch {
	case len(out.Unknown) > 0:
		out.Evidence = Undecided
	case j.scene == nil || j.scene.exact || j.stored:
		out.Evidence = Stored
	default:
		out.Evidence = Whatever
	}
	slices.SortStableFunc(out.Violations, func(a, b Violation) int { return strings.Compare(a.Policy, b.Policy) })
	out.Request.Gaps, out.Request.Parts, out.Request.OldParts = nil, nil, nil
}
