// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// site is a log of a site: agents that annotate and label their Nodes, static pods, a large machine, and an attacker.
func site() []drawn {
	var writes []drawn
	add := func(node, agent string, hours int, r policy.Request, old, updated fields) {
		r.NodeName, r.InNodesGroup, r.Facts, r.Version = node, true, policy.StaticFacts{}, "v1"
		if r.Operation == "" {
			r.Operation = admissionv1.Update
		}
		r.Object = encode(updated)
		if old != nil {
			r.OldObject = encode(old)
		}
		writes = append(writes, drawn{request: r, at: start.Add(time.Duration(hours) * time.Hour), agent: agent})
	}
	node := func(name, section string, value fields) fields {
		return fields{"metadata": fields{"name": name, section: value}}
	}
	const kubelet, agent = "kubelet/v1.37.2 (linux/amd64) kubernetes/0123456", "example-agent/v2.0.1"
	for i := range 12 {
		name := fmt.Sprint("worker-", i)
		own := policy.Request{Write: policy.Write{Resource: "nodes", Name: name}}
		annotations := fields{}
		for _, key := range []string{"args", "env", "hash", "ip"} {
			annotations["agent.example.com/"+key] = name
		}
		add(name, agent, i, own, node(name, "labels", nil), node(name, "annotations", annotations))
		add(name, agent, 10*i, own, node(name, "labels", nil), node(name, "labels", fields{"topology.example.com/rack": "r1"}))
		status := own
		status.Subresource = "status"
		before := fields{"metadata": fields{"name": name}}
		add(name, kubelet, 2*i, status, before, fields{
			"metadata": fields{"name": name},
			"status":   fields{"addresses": []fields{{"type": "InternalIP", "address": fmt.Sprint("192.168.7.", 10+i)}}},
		})
	}
	for i := range 3 {
		name := fmt.Sprint("control-", i)
		add(name, kubelet, i, policy.Request{Write: policy.Write{
			Operation: admissionv1.Create, Resource: "pods", Namespace: "kube-system", Name: "etcd-" + name,
		}}, nil, fields{
			"metadata": fields{
				"name": "etcd-" + name, "labels": fields{"component": "etcd", "tier": "control-plane"},
				"annotations": fields{"kubernetes.io/config.hash": "h", "kubernetes.io/config.mirror": "h", "kubernetes.io/config.source": "file"},
			},
			"spec": fields{"volumes": []fields{
				{"name": "a", "hostPath": fields{"path": "/etc/kubernetes/pki/etcd"}}, {"name": "b", "hostPath": fields{"path": "/var/lib/etcd"}},
			}},
		})
	}
	large := policy.Request{Write: policy.Write{Resource: "nodes", Subresource: "status", Name: "worker-3"}}
	add("worker-3", kubelet, 3, large, fields{"metadata": fields{"name": "worker-3"}}, fields{
		"metadata": fields{"name": "worker-3"}, "status": fields{"capacity": fields{"cpu": "5k", "example.com/gpu": "8"}},
	})
	attacked := policy.Request{Write: policy.Write{Resource: "nodes", Name: "worker-9"}}
	add("worker-9", "curl/8.5.0", 114, attacked, node("worker-9", "labels", nil), node("worker-9", "labels", fields{"example.com/dedicated": "pci"}))
	evicted := policy.Request{Write: policy.Write{Resource: "nodes", Name: "worker-9"}}
	add("worker-9", "curl/8.5.0", 115, evicted, node("worker-9", "labels", nil), node("worker-9", "labels", fields{"node-role.kubernetes.io/control-plane": ""}))
	return writes
}

func TestEveryLineHasItsEvidence(t *testing.T) {
	_, out := learn(t, site(), Options{MinNodes: 2, Agents: []string{"kubelet", "example-agent"}, Holdout: 0.3})
	commandtest.Golden(t, "site.golden", out, *update)
	_, out = learn(t, site(), Options{MinNodes: 2, Agents: []string{"kubelet"}, All: true})
	commandtest.Golden(t, "site-all.golden", out, *update)
}

// TestPage compares the example of docs/learn.md with what is learned from the same log, as the page says.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/learn.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```yaml\n")
	if !found {
		t.Fatal("the page has no policy")
	}
	example, _, _ = strings.Cut(example, "```")
	var out, notes bytes.Buffer
	o := commandOptions{name: "learned", Options: Options{MinNodes: 2, Agents: []string{"kubelet", "example-agent"}, Holdout: 0.3}}
	o.source.AddFlags(&cobra.Command{})
	o.source.AuditLogs, o.replay.Complete = []string{command.StandardInput}, true
	err = o.run(&command.Inputs{Stdin: bytes.NewReader(logOf(t, site()))}, &out, &notes, command.NewOutput(command.FormatYAML))
	if command.ExitCode(err) != command.CodeNo {
		t.Fatalf("got %v", err)
	}
	rest := "\n" + out.String()
	for line := range strings.Lines(example) {
		_, after, has := strings.Cut(rest, "\n"+line)
		if !has {
			t.Fatalf("the policy does not have the line %q, or before others:\n%s", line, out.String())
		}
		rest = "\n" + after
	}
}

// TestLearningAgain has the learned policy as base, and the same log. What was left for review is, again, and stands there once.
func TestLearningAgain(t *testing.T) {
	options := Options{MinNodes: 2, Agents: []string{"kubelet"}}
	first, out := learn(t, site(), options)
	f := manifest.Read(bytes.NewReader(out), rules.NewCompiler())
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	l, err := NewLearner(f.Policies[0].Object, options)
	if err != nil {
		t.Fatal(err)
	}
	set := setOf(t, f.Policies[0].Object)
	writes := site()
	for i := range writes {
		if w := writes[i].write(set); len(w.Violations) > 0 {
			l.Add(w)
		}
	}
	second := l.Finish(first.Log, replay.Whole)
	again, err := second.Print(out, "learned.yaml", "learned", options)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.Learned) > 0 || !equality.Semantic.DeepEqual(first.Policy, second.Policy) {
		t.Errorf("learned %v:\n%s", second.Learned, again)
	}
	body := func(text []byte) string {
		_, body, _ := strings.Cut(string(text), "apiVersion:")
		return body
	}
	if body(again) != body(out) {
		t.Errorf("got\n%s\nwant\n%s", again, out)
	}
}

// TestBases learns nothing from policies of different origin: they keep what they say.
func TestBases(t *testing.T) {
	paths, err := filepath.Glob("../../config/policies/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := filepath.Glob("../../config/policies/profiles/*.yaml")
	if err != nil || len(profiles) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	texts := map[string][]byte{
		"JSON": []byte(`{"apiVersion": "noderestriction.plus/v1alpha1", "kind": "NodeRestrictionPolicy", "metadata": {"name": "j"},` +
			` "spec": {"validationActions": ["Deny"], "nodes": {"annotations": {}}}}`),
		"from a cluster": []byte("apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: c, uid: u, labels: {a: b}," +
			" resourceVersion: '1', generation: 2}\nspec: {validationActions: [Warn], nodes: {annotations: {}}}\nstatus: {observedGeneration: 2}\n"),
	}
	for _, path := range append(paths, profiles...) {
		if texts[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	annotated := drawn{agent: "kubelet", at: start, request: policy.Request{
		NodeName: "worker-1", InNodesGroup: true, Facts: policy.StaticFacts{}, Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1", Version: "v1",
			OldObject: []byte(`{"metadata": {"name": "worker-1"}}`),
			Object:    []byte(`{"metadata": {"name": "worker-1", "annotations": {"site.example.com/x": "y"}}}`),
		},
	}}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			f := manifest.Read(bytes.NewReader(text), rules.NewCompiler())
			if err := f.Err(); err != nil {
				t.Fatal(err)
			}
			base := f.Policies[0].Object
			for _, all := range []bool{false, true} {
				options := Options{All: all, MinNodes: 2, Agents: []string{"kubelet"}}
				l, err := NewLearner(base, options)
				if err != nil {
					t.Fatal(err)
				}
				if w := annotated.write(setOf(t, base)); len(w.Violations) > 0 {
					l.Add(w)
				}
				result := l.Finish(Log{First: start, Last: start}, replay.Whole)
				out, err := result.Print(text, name, "learned", options)
				if err != nil {
					t.Fatal(err)
				}
				want := applied(t, base, result.Learned)
				want.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Audit}
				if !equality.Semantic.DeepEqual(result.Policy.Spec, want.Spec) {
					t.Errorf("got %+v, want %+v\n%s", result.Policy.Spec, want.Spec, out)
				}
				if result.Policy.Name != "learned" || strings.Contains(string(out), "resourceVersion") || len(result.Policy.Labels) > 0 || strings.Contains(string(out), "status:") {
					t.Errorf("got %s", out)
				}
			}
		})
	}
}

// TestAnchors has a base whose text cannot be widened in one place.
func TestAnchors(t *testing.T) {
	text := []byte("apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: a}\nspec:\n" +
		"  validationActions: [Deny]\n  nodes:\n    conditions: &empty {}\n    annotations: *empty\n")
	f := manifest.Read(bytes.NewReader(text), rules.NewCompiler())
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	options := Options{All: true}
	l, err := NewLearner(f.Policies[0].Object, options)
	if err != nil {
		t.Fatal(err)
	}
	w := site()[0].write(setOf(t, f.Policies[0].Object))
	if len(w.Violations) == 0 {
		t.Fatal("the base denies nothing")
	}
	l.Add(w)
	_, err = l.Finish(Log{First: start, Last: start}, replay.Whole).Print(text, "a.yaml", "learned", options)
	if err == nil || !strings.Contains(err.Error(), "a.yaml: has aliases of anchors") {
		t.Errorf("got %v", err)
	}
}

// TestHostileTexts has texts of the log in comments that must not end there.
func TestHostileTexts(t *testing.T) {
	const evil = "x\nspec: {}\u2028\x1b[2K# "
	w := drawn{agent: evil, at: start, request: policy.Request{
		NodeName: evil, InNodesGroup: true, Facts: policy.StaticFacts{}, Write: policy.Write{
			Operation: admissionv1.Create, Resource: "pods", Namespace: "kube-system", Version: "v1",
			Object: encode(fields{
				"metadata": fields{"name": "x", "annotations": fields{"kubernetes.io/config.hash": "h", "kubernetes.io/config.mirror": "h", "kubernetes.io/config.source": "file"}},
				"spec":     fields{"volumes": []fields{{"name": "a", "hostPath": fields{"path": "/" + evil}}, {"name": "a", "hostPath": fields{"path": "/*"}}}},
			}),
		},
	}}
	asterisk := w
	asterisk.request.Object = encode(fields{"metadata": fields{"name": "x", "labels": fields{evil: "y", "*": "x"}}})
	for _, all := range []bool{false, true} {
		for _, writes := range [][]drawn{{w}, {asterisk}} {
			_, out := learn(t, writes, Options{All: all, MinNodes: 2, Agents: []string{"kubelet"}})
			if strings.ContainsAny(string(out), "\x1b\u2028") || bytes.Count(out, []byte("\nspec:")) != 1 || bytes.Contains(out, []byte(`- "*"`)) {
				t.Errorf("got %s", out)
			}
		}
	}
}
