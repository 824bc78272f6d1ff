// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// sites is a policy in which each field that can be learned has a list of a site.
func sites(t *testing.T) (text []byte, object *v1alpha1.NodeRestrictionPolicy) {
	t.Helper()
	text, err := os.ReadFile("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := manifest.Read(bytes.NewReader(text), rules.NewCompiler())
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return text, f.Policies[0].Object
}

type fields = map[string]any

// drawn is a write that a kubelet could send.
type drawn struct {
	request policy.Request
	at      time.Time
	agent   string
}

func (d *drawn) write(base *policy.Set) *Write {
	r := d.request
	w := writeOf(&r, base.Evaluate(&r).Violations)
	w.Time, w.UserAgent = d.at, d.agent
	return w
}

// draw draws a write whose violations elements can allow.
func draw(t *rapid.T) drawn {
	node := fmt.Sprint("worker-", rapid.IntRange(1, 4).Draw(t, "node"))
	some := func(what string, of ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, min(4, len(of)), rapid.ID[string]).Draw(t, what)
	}
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	keys := func(more ...string) fields {
		pairs := fields{}
		for _, key := range some("keys", append(more, "foo", "example.com/a", "example.com/b", "example.com/c", "example.com/d", "example.org/a")...) {
			pairs[key] = one("value", "1", "2")
		}
		return pairs
	}
	meta := fields{"name": node}
	r := policy.Request{NodeName: node, InNodesGroup: true, Facts: policy.StaticFacts{}}
	r.Resource, r.Name, r.Operation, r.Version = "nodes", node, admissionv1.Update, "v1"
	old, updated := fields{"metadata": meta}, fields{"metadata": fields{"name": node}}
	switch kind := one("kind", "annotations", "labels", "register", "status", "mirror", "pod"); kind {
	case "annotations":
		updated["metadata"] = fields{"name": node, kind: keys("x.k8s.io/a", "x.k8s.io/b", "x.k8s.io/c")}
	case "labels":
		updated["metadata"] = fields{"name": node, kind: keys()}
	case "register":
		r.Operation, old = admissionv1.Create, nil
		var list []fields
		for _, value := range some("values", "", "a", "b", "c", "d") {
			list = append(list, fields{"key": one("key", "k", "l"), "value": value, "effect": one("effect", "NoSchedule", "NoExecute")})
		}
		updated["spec"] = fields{"taints": list}
		updated["metadata"] = fields{"name": node, "labels": keys()}
	case "status":
		r.Subresource = "status"
		var conditions []fields
		for _, name := range some("conditions", "A", "B", "C") {
			conditions = append(conditions, fields{"type": name, "status": "True", "lastHeartbeatTime": nil, "lastTransitionTime": nil})
		}
		updated["status"] = fields{
			"conditions":       conditions,
			"capacity":         fields{one("resource", "cpu", "memory", "example.com/gpu", "example.com/tpu"): one("quantity", "1", "3", "5k", "9k", "99Ti")},
			"addresses":        []fields{{"type": "InternalIP", "address": drawAddress(t)}},
			"declaredFeatures": some("features", "F", "G", "H"),
		}
	case "mirror":
		r.Operation, r.Resource, old = admissionv1.Create, "pods", nil
		r.Namespace, r.Name = one("namespace", "kube-system", "a", "b"), "web-"+node
		annotations := keys()
		for _, name := range []string{"hash", "mirror"} {
			annotations["kubernetes.io/config."+name] = "h"
		}
		annotations["kubernetes.io/config.source"] = "file"
		var volumes []fields
		for i, path := range some("paths", "/etc/a", "/etc/a/b", "/etc/a/c", "/etc/a/d", "/etc/b", "/opt") {
			volumes = append(volumes, fields{"name": fmt.Sprint("v", i), "hostPath": fields{"path": path}})
		}
		updated = fields{
			"metadata": fields{"name": r.Name, "namespace": r.Namespace, "labels": keys(), "annotations": annotations},
			"spec": fields{
				"nodeName": node, "volumes": volumes, "hostPID": rapid.Bool().Draw(t, "hostPID"), "hostNetwork": true,
				"priorityClassName": one("class", "system-node-critical", "mine"),
			},
		}
	case "pod":
		r.Resource, r.Subresource, r.Namespace, r.Name = "pods", "status", "a", "web"
		spec := fields{"nodeName": node, "hostNetwork": rapid.Bool().Draw(t, "hostNetwork")}
		old = fields{"metadata": fields{"name": "web"}, "spec": spec}
		updated = fields{
			"metadata": fields{"name": "web", "annotations": keys()}, "spec": spec,
			"status": fields{"podIP": drawAddress(t), "hostIP": drawAddress(t)},
		}
	}
	r.Object = encode(updated)
	if old != nil {
		r.OldObject = encode(old)
	}
	return drawn{
		request: r, at: start.Add(time.Duration(rapid.IntRange(0, 10_000).Draw(t, "minute")) * time.Minute),
		agent: one("agent", "kubelet/v1.37.2 (linux/amd64)", "kubelet/v1.36.0", "agent/v1", "curl/8.5.0"),
	}
}

func drawAddress(t *rapid.T) string {
	if rapid.Bool().Draw(t, "IPv6") {
		return fmt.Sprintf("fd00::%x:%x", rapid.IntRange(0, 1).Draw(t, "range"), rapid.IntRange(1, 4).Draw(t, "host"))
	}
	return fmt.Sprintf("192.168.%d.%d", rapid.IntRange(0, 2).Draw(t, "range"), rapid.IntRange(1, 12).Draw(t, "host"))
}

func encode(o fields) []byte {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return data
}

// learn learns from those of the writes that the base denies, and returns the policy.
func learn(t *testing.T, writes []drawn, options Options) (*Result, []byte) {
	t.Helper()
	text, base := sites(t)
	l, err := NewLearner(base, options)
	if err != nil {
		t.Fatal(err)
	}
	set := setOf(t, base)
	for i := range writes {
		if w := writes[i].write(set); len(w.Violations) > 0 {
			l.Add(w)
		}
	}
	result := l.Finish(Log{First: start, Last: start.Add(10_000 * time.Minute), Kubelets: 4, Evaluated: len(writes)}, replay.Whole)
	out, err := result.Print(text, "testdata/site.yaml", "learned", options)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return result, out
}

// deniedBy returns how many of the writes a policy denies.
func deniedBy(t *testing.T, p *v1alpha1.NodeRestrictionPolicy, writes []drawn) int {
	t.Helper()
	n, set := 0, setOf(t, p)
	for i := range writes {
		if r := writes[i].request; len(set.Evaluate(&r).Violations) > 0 {
			n++
		}
	}
	return n
}

func TestTheLearnedPolicy(t *testing.T) {
	_, base := sites(t)
	agents := []string{"kubelet", "agent"}
	rapid.Check(t, func(rt *rapid.T) {
		writes := rapid.SliceOfN(rapid.Custom(draw), 1, 30).Draw(rt, "writes")
		all, _ := learn(t, writes, Options{All: true, MinNodes: 2, Agents: agents, Holdout: 0.3})
		if n := deniedBy(t, all.Policy, writes); n != all.Denied || n != 0 {
			rt.Fatalf("with All the policy denies %d writes and says %d, want 0", n, all.Denied)
		}
		for i := range all.Learned {
			without := slices.Delete(slices.Clone(all.Learned), i, i+1)
			if deniedBy(t, applied(t, base, without), writes) == 0 {
				rt.Fatalf("nothing needs the line %v of %v", all.Learned[i].Element, all.Learned)
			}
		}
		options := Options{MinNodes: 2, Agents: agents, Holdout: 0.3}
		some, out := learn(t, writes, options)
		if n := deniedBy(t, some.Policy, writes); n != some.Denied {
			rt.Fatalf("the policy denies %d writes and says %d:\n%s", n, some.Denied, out)
		}
		_, again := learn(t, rapid.Permutation(writes).Draw(rt, "order"), options)
		if !bytes.Equal(out, again) {
			rt.Fatalf("the order of the log matters:\n%s\n%s", out, again)
		}
		for _, other := range rapid.SliceOfN(rapid.Custom(draw), 1, 10).Draw(rt, "other writes") {
			for _, p := range []*v1alpha1.NodeRestrictionPolicy{all.Policy, some.Policy} {
				one := []drawn{other}
				if deniedBy(t, base, one) == 0 && deniedBy(t, p, one) > 0 {
					rt.Fatalf("the policy is not only widened: it denies %s", other.request.Object)
				}
			}
		}
	})
}
