// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admission/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
)

// logOf returns the audit log of writes at level RequestResponse. Before each update, an administrator puts the object to what the write
// changes.
func logOf(t *testing.T, writes []drawn) []byte {
	t.Helper()
	writes = slices.Clone(writes)
	slices.SortStableFunc(writes, func(a, b drawn) int { return a.at.Compare(b.at) })
	var log bytes.Buffer
	encoder := json.NewEncoder(&log)
	version, uids := 1000, map[string]int{}
	for i := range writes {
		d := &writes[i]
		r := &d.request
		name := r.Namespace + "/" + r.Name
		stored := func(data []byte) fields {
			var o fields
			if err := json.Unmarshal(data, &o); err != nil {
				t.Fatal(err)
			}
			if !r.DryRun {
				version++
			}
			meta := o["metadata"].(fields)
			maps.DeleteFunc(meta, func(_ string, value any) bool { return value == nil })
			meta["uid"], meta["resourceVersion"], meta["managedFields"] = fmt.Sprint(name, uids[name]), strconv.Itoa(version), []any{}
			o["kind"] = map[string]string{"nodes": "Node", "pods": "Pod"}[r.Resource]
			if r.Namespace != "" {
				meta["namespace"] = r.Namespace
			}
			return o
		}
		event := func(at time.Time, user, agent, verb, subresource, uri string, request, response fields) {
			ref := fields{"resource": r.Resource, "name": r.Name, "apiVersion": "v1"}
			if r.Namespace != "" {
				ref["namespace"] = r.Namespace
			}
			if subresource != "" {
				ref["subresource"] = subresource
			}
			groups := []string{"system:authenticated"}
			if strings.HasPrefix(user, "system:node:") {
				groups = append(groups, "system:nodes")
			}
			if err := encoder.Encode(fields{
				"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete", "requestURI": uri,
				"verb": verb, "user": fields{"username": user, "groups": groups}, "userAgent": agent, "objectRef": ref,
				"responseStatus": fields{"code": 200}, "requestObject": request, "responseObject": response,
				"requestReceivedTimestamp": at.Format(time.RFC3339Nano), "stageTimestamp": at.Format(time.RFC3339Nano),
			}); err != nil {
				t.Fatal(err)
			}
		}
		uri, kubelet := "/api/v1/"+r.Resource+"/"+r.Name, "system:node:"+r.NodeName
		if r.DryRun {
			uri += "?dryRun=All"
		}
		at := d.at.Add(time.Duration(i) * time.Millisecond)
		if r.Operation == admissionv1.Create {
			uids[name]++
			object := stored(r.Object)
			event(at, kubelet, d.agent, "create", r.Subresource, uri, object, object)
			continue
		}
		old := stored(r.OldObject)
		event(at.Add(-time.Millisecond/2), "admin", "kubectl/v1.37.2", "update", "", "/api/v1/"+r.Resource+"/"+r.Name, old, old)
		updated := stored(r.Object)
		event(at, kubelet, d.agent, "patch", r.Subresource, uri, patchOf(old, updated), updated)
	}
	return log.Bytes()
}

// patchOf returns a merge patch from one object to another, which has the keys of the first one.
func patchOf(old, updated fields) fields {
	patch := fields{}
	for name, value := range updated {
		before, after := old[name], value
		switch a, isObject := after.(fields); {
		case name == "uid", name == "resourceVersion", reflect.DeepEqual(before, after):
		case isObject:
			b, _ := before.(fields)
			patch[name] = patchOf(b, a)
		default:
			patch[name] = after
		}
	}
	return patch
}

// deniedInLog returns how many writes of a log a policy denies, and how many could not be evaluated.
func deniedInLog(t *testing.T, p *v1alpha1.NodeRestrictionPolicy, log []byte) (denied, unknown int) {
	t.Helper()
	run, err := replay.New(&replay.Options{Policies: []*v1alpha1.NodeRestrictionPolicy{p}, Complete: true}, func(w *replay.Write) error {
		if len(w.Violations) > 0 {
			denied++
		}
		if len(w.Unknown) > 0 {
			unknown++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := auditlog.NewLog(auditlog.Auto)
	reader.Want = run.Wants
	if err := reader.Read(bytes.NewReader(log), run.Add); err != nil {
		t.Fatal(err)
	}
	if err := run.Finish(); err != nil || !run.Complete() {
		t.Fatalf("complete: %t, %v", run.Complete(), err)
	}
	return denied, unknown
}

// learnLog learns from a log as the command does.
func learnLog(t *testing.T, log []byte, options Options) (*Result, []byte) {
	t.Helper()
	text, base := sites(t)
	o := commandOptions{Options: options}
	o.source.AddFlags(&cobra.Command{})
	o.source.AuditLogs, o.replay.Complete = []string{command.StandardInput}, true
	result, err := o.learn(&command.Inputs{Stdin: bytes.NewReader(log)}, base, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	out, err := result.Print(text, "site.yaml", "learned", options)
	if err != nil {
		t.Fatal(err)
	}
	return result, out
}

// TestReplayOfWhatWasLearned replays the log by the policy that was learned from it.
func TestReplayOfWhatWasLearned(t *testing.T) {
	_, base := sites(t)
	rapid.Check(t, func(rt *rapid.T) {
		log := logOf(t, rapid.SliceOfN(rapid.Custom(draw), 1, 12).Draw(rt, "writes"))
		all, out := learnLog(t, log, Options{All: true, MinNodes: 2, Agents: []string{"kubelet"}})
		if before, unknown := deniedInLog(t, base, log); before != all.Violating || unknown != 0 || all.Log.Unknown != 0 {
			rt.Fatalf("the base denies %d writes, not %d, and %d are unknown", before, all.Violating, unknown)
		}
		if denied, unknown := deniedInLog(t, all.Policy, log); denied != 0 || unknown != 0 || all.Denied != 0 {
			rt.Fatalf("%d denied, %d unknown:\n%s\n%s", denied, unknown, out, log)
		}
		if n := len(all.Learned); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(rt, "line")
			without := slices.Delete(slices.Clone(all.Learned), i, i+1)
			if denied, _ := deniedInLog(t, applied(t, base, without), log); denied == 0 {
				rt.Fatalf("nothing needs the line %v", all.Learned[i].Element)
			}
		}
		some, _ := learnLog(t, log, Options{MinNodes: 2, Agents: []string{"kubelet"}})
		if denied, _ := deniedInLog(t, some.Policy, log); denied != some.Denied {
			rt.Fatalf("%d denied, not %d", denied, some.Denied)
		}
	})
}

// TestTheOrderOfFilesDoesNotMatter splits a log into the files of two API servers.
func TestTheOrderOfFilesDoesNotMatter(t *testing.T) {
	text, base := sites(t)
	directory := t.TempDir()
	files := []string{filepath.Join(directory, "a.log"), filepath.Join(directory, "b.log")}
	logs := make([][]byte, len(files))
	for i, line := range bytes.SplitAfter(logOf(t, site()), []byte("\n")) {
		logs[i%len(files)] = append(logs[i%len(files)], line...)
	}
	for i, file := range files {
		if err := os.WriteFile(file, logs[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var outs []string
	for range 2 {
		slices.Reverse(files)
		o := commandOptions{Options: Options{MinNodes: 2, Agents: []string{"kubelet"}, Holdout: 0.3}, replay: replay.Options{Complete: true}}
		o.source.AddFlags(&cobra.Command{})
		o.source.AuditLogs = files
		result, err := o.learn(&command.Inputs{}, base, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		out, err := result.Print(text, "site.yaml", "learned", o.Options)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, string(out))
	}
	if outs[0] != outs[1] || !strings.Contains(outs[0], "192.168.7.0/24") {
		t.Errorf("got\n%s\nand\n%s", outs[0], outs[1])
	}
}

// TestRegistrations has registrations with labels and taints in common.
func TestRegistrations(t *testing.T) {
	register := func(node string, labels fields, taints ...fields) drawn {
		return drawn{at: start, agent: "kubelet/v1.37.2", request: policy.Request{NodeName: node, Write: policy.Write{
			Operation: admissionv1.Create, Resource: "nodes", Name: node,
			Object: encode(fields{"metadata": fields{"name": node, "labels": labels}, "spec": fields{"taints": taints}}),
		}}}
	}
	pool, other := fields{"key": "site", "value": "p", "effect": "NoSchedule"}, fields{"key": "site", "effect": "NoExecute"}
	notReady := fields{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
	writes := []drawn{
		register("a", fields{"site/pool": "x", "site/a": "x", "kubernetes.io/os": "linux"}, pool, notReady),
		register("b", fields{"site/pool": "y", "kubernetes.io/os": "linux"}, pool, other, notReady),
	}
	options := Options{MinNodes: 2, Agents: []string{"kubelet"}}
	result, _ := learnLog(t, logOf(t, writes), options)
	if r := result.Log.Registrations; r.Count != 2 || r.Nodes != 2 || len(r.Labels)+len(r.Taints) > 0 {
		t.Errorf("two nodes are too few, got %+v", r)
	}
	result, out := learnLog(t, logOf(t, append(writes, register("c", fields{"site/pool": "x"}, other, pool))), options)
	r := result.Log.Registrations
	if r.Count != 3 || !slices.Equal(r.Labels, []string{"site/pool"}) || !slices.Equal(r.Taints, []string{"site=p:NoSchedule"}) {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(string(out), `had the labels "site/pool" and the taints`) {
		t.Errorf("got %s", out)
	}
}

// TestLogsWithoutManagedFields has PUTs in a log of the recommended audit policy: the rule about managedFields has no verdict on them.
func TestLogsWithoutManagedFields(t *testing.T) {
	writes := slices.DeleteFunc(site(), func(d drawn) bool {
		return !strings.HasPrefix(d.agent, "example-agent") || !bytes.Contains(d.request.Object, []byte("agent.example.com"))
	})
	log := bytes.ReplaceAll(logOf(t, writes[:2]), []byte(`"managedFields":[],`), nil)
	var lines [][]byte
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(`"verb":"patch"`)) { // by an agent
			var event fields
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			var put fields
			if err := json.Unmarshal(encode(event["responseObject"].(fields)), &put); err != nil {
				t.Fatal(err)
			}
			meta := put["metadata"].(fields)
			version, err := strconv.Atoi(meta["resourceVersion"].(string))
			if err != nil {
				t.Fatal(err)
			}
			meta["resourceVersion"] = strconv.Itoa(version - 1)
			event["verb"], event["requestObject"] = "update", put
			line = append(encode(event), '\n')
		}
		lines = append(lines, line)
	}
	var out, notes bytes.Buffer
	o := commandOptions{name: "learned", Options: Options{MinNodes: 2, Agents: []string{"example-agent"}}}
	o.source.AddFlags(&cobra.Command{})
	o.source.AuditLogs, o.replay.Complete = []string{command.StandardInput}, true
	stdin := bytes.NewReader(bytes.Join(lines, nil))
	if err := o.run(&command.Inputs{Stdin: stdin}, &out, &notes, command.NewOutput(command.FormatYAML)); command.ExitCode(err) > command.CodeNo {
		t.Fatal(err)
	}
	for _, want := range []string{"the rules about managedFields have no verdict", "- agent.example.com/* # 4 values, 2 nodes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no %q:\n%s", want, out.String())
		}
	}
}

// TestDryRunsTeachNothing has only a dry run of what would be learned.
func TestDryRunsTeachNothing(t *testing.T) {
	writes := site()
	for i := range writes {
		writes[i].request.DryRun = true
	}
	log := logOf(t, append(writes, site()[0]))
	result, _ := learnLog(t, log, Options{All: true, MinNodes: 1, Agents: []string{"kubelet"}})
	if result.Log.Kubelets != 1 || result.Violating != 1 || len(result.Learned) != 1 {
		t.Errorf("got %d kubelets, %d violating writes, %v", result.Log.Kubelets, result.Violating, result.Learned)
	}
}
