// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/authorization"
)

// Options are what is evaluated.
type Options struct {
	// Policies are valid. Their validationActions do not matter: a violation of each of them is a denial.
	Policies []*v1alpha1.NodeRestrictionPolicy
	// Since and Until bound the time of the writes. What was written before is read, too. Zero: no bound.
	Since, Until time.Time
	// Node says on which nodes the kubelets and the node agents are whose writes are evaluated. Nil: all.
	Node func(name string) bool
	// FailedOpen says that only writes are evaluated for which no replica of the webhook answered.
	FailedOpen bool
	// Complete says that the log has all writes of Nodes and pods from its beginning to its end, at whichever level.
	Complete bool
	// Skew is how much the clocks of API servers may differ. Zero: the log is that of a single API server.
	Skew time.Duration
	// Attempts says that also writes are evaluated that were refused.
	Attempts bool
	// Agents, if set, is called with each write of a client that is no kubelet, if Covers selects it.
	Agents func(*AgentWrite)
	// Covers says which writes Agents is called with. The resource has its group.
	Covers func(resource, subresource string, operation admissionv1.Operation) bool
	// NodePaths are where objects of resources other than Nodes and pods name their node, by resource.
	NodePaths map[string][]string
}

// Replay evaluates the writes of an audit log. Its memory is bounded by the number of Nodes and pods that exist at the same time.
type Replay struct {
	options Options
	units   *units
	objects *objects
	skims   *skims
	order   *order
	each    func(*Write) error
	counts  Counts
}

// Counts are how many events were read.
type Counts struct {
	Writes       int // of kubelets and of the node agents that policies name, and selected
	Impersonated int // of them, sent by another user
	DryRuns      int // of them
	Refused      int // by others, and selected; evaluated only with Attempts
	// Links are how often two successive answers show the same object, and Breaks how often the second one does not follow from the first:
	// a write is missing between them.
	Links, Breaks int
}

// New returns a replay that calls a function with each evaluated write. The writes of an object are in their order. It returns an error if
// a policy is not valid. An error of the function stops the replay.
func New(o *Options, each func(*Write) error) (*Replay, error) {
	u, err := newUnits(o.Policies)
	if err != nil {
		return nil, err
	}
	return &Replay{options: *o, units: u, objects: newObjects(o.Skew), skims: newSkims(), order: newOrder(o.Skew), each: each}, nil
}

// Counts returns how many events were read so far.
func (r *Replay) Counts() Counts { return r.counts }

// Completeness is how sure it is that the log lacks no writes.
type Completeness int

// How sure it is. Of a log with few links nothing can be said.
const (
	Lacking Completeness = iota // writes are missing, or nothing shows whether they are
	Fitting                     // at least a hundred links, and at most a break in a thousand
	Whole                       // at least a thousand links, and at most a break in a thousand; or the caller says so
)

const (
	maxBreaks = 1000 // how many links there must be for each break
	minLinks  = 100
)

// Completeness returns how sure it is that the log lacks no writes, as far as its answers show that. It is final after [Replay.Finish].
func (r *Replay) Completeness() Completeness {
	links := r.counts.Links
	switch {
	case r.options.Complete:
		return Whole
	case links < minLinks || r.counts.Breaks*maxBreaks > links:
		return Lacking
	case links < maxBreaks:
		return Fitting
	}
	return Whole
}

// Complete reports whether verdicts count that assume that the log lacks no writes, except for those on a write with Derived.
func (r *Replay) Complete() bool { return r.Completeness() >= Fitting }

// Wants reports whether an event must be added: it is the last one of a write to a Node, a pod or an object that a policy's objects are
// about, of whomever, of a kubelet's write, or of one that [Options.Covers] selects.
func (r *Replay) Wants(e *auditlog.Event) bool {
	switch {
	case !isWrite(e):
		return false
	case isKubelet(e):
		return e.ObjectRef.Resource != ""
	case e.ObjectRef.APIGroup == "" && (e.ObjectRef.Resource == "nodes" || e.ObjectRef.Resource == "pods"):
		return true
	}
	return r.units.paths[resourceOf(e)] != nil || r.options.Agents != nil && r.covers(e)
}

func isKubelet(e *auditlog.Event) bool {
	return strings.HasPrefix(e.Client().Username, authorization.NodeUserPrefix)
}

// Add adds an event that [Wants] has wanted. The events must be in the order of time, except that each may come a minute late. Those of an
// object are evaluated in the order of its resourceVersions, so that the clocks of API servers may differ by some seconds. Finish must
// be called after the last one.
func (r *Replay) Add(e *auditlog.Event) error { return r.order.add(read(e), r.take) }

// Finish evaluates the writes that wait for earlier ones.
func (r *Replay) Finish() error { return r.order.flush(r.take) }

// take evaluates a write, and notes what it stores.
func (r *Replay) take(w *written) error {
	r.objects.prepare(w, r.order.unseen(w))
	r.link(w)
	r.agent(w)
	if (w.isKubelets || w.isAgents && r.units.name(w)) && r.selects(w) {
		if err := r.evaluate(w); err != nil {
			return err
		}
	}
	r.follow(w)
	r.followNode(w)
	return nil
}

// link compares what the log has last of an object with the answer to a write, to find out whether the log lacks writes.
func (r *Replay) link(w *written) {
	t := r.objects.before(w)
	if !w.key.isTracked() || !w.stores() || t == nil || w.version == t.version {
		return
	}
	same, equal := r.objects.fits(w, t)
	if !same {
		return
	}
	switch {
	case equal:
		r.counts.Links++
	case !r.order.hasTwin(w):
		r.counts.Links++
		r.counts.Breaks++
	}
}

// selects reports whether a write is evaluated, and counts it.
func (r *Replay) selects(w *written) bool {
	o := &r.options
	switch {
	case o.Node != nil && !o.Node(w.node), !o.during(w), o.FailedOpen && !w.failedOpen():
		return false
	}
	if w.isRefused() {
		r.counts.Refused++
		if !o.Attempts {
			return false
		}
	}
	r.counts.Writes++
	if w.event.ImpersonatedUser != nil {
		r.counts.Impersonated++
	}
	if w.dryRun {
		r.counts.DryRuns++
	}
	return true
}

// AddObjects adds Nodes and pods, such as kubectl get nodes,pods -A -o json prints them. They are what stood before the writes with a
// later resourceVersion. The error names the object.
func (r *Replay) AddObjects(data []byte) error {
	if err := r.objects.seed(data); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	return nil
}
