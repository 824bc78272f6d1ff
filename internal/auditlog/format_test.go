// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"noderestriction.plus/internal/auditlog"
)

func formats(t testing.TB) []txtar.File {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/formats.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return archive.Files
}

// TestFormats tests that each format has the same two events, is found without being named, and is not taken for another one.
func TestFormats(t *testing.T) {
	others := map[string]int{
		"cloudwatch/subscription by Firehose, without line ends": 2, "cloudwatch/filter-log-events": 1, "aks/event hub": 1, "gke/gcloud": 1,
	}
	want := []string{
		`a1: system:node:worker-1: list secrets with spec.nodeName=worker-1 allowRBAC: allowed by ClusterRoleBinding "nodes" 200`,
		"a2: system:node:worker-1: patch nodes/status worker-1 allow 403",
	}
	for _, file := range formats(t) {
		name, in := file.Name, string(file.Data)
		named, _, _ := strings.Cut(name, "/")
		for _, format := range auditlog.Formats() {
			t.Run(name+" as "+format, func(t *testing.T) {
				log := auditlog.NewLog(auditlog.Format(format))
				asTheyAre := named == "events" || name == "cloudwatch/export to S3"
				alsoRead := asTheyAre && (format == string(auditlog.CloudWatch) || format == string(auditlog.Events))
				if format != string(auditlog.Auto) && format != named && !alsoRead {
					err := log.Read(strings.NewReader(in), func(e *auditlog.Event) error {
						t.Errorf("an event: %s", line(e))
						return nil
					})
					if err == nil || !strings.Contains(err.Error(), "no event, or not in the format "+format) {
						t.Errorf("got %v", err)
					}
					return
				}
				got := read(t, log, in)
				expected := strings.Join(want, "\n")
				if named == string(auditlog.GKE) { // which has no query
					expected = strings.ReplaceAll(expected, " with spec.nodeName=worker-1", "")
				}
				if strings.Join(got, "\n") != expected || log.Unreadable != 0 || log.Others != others[name] {
					t.Errorf("got %q, %d unreadable, %d others", got, log.Unreadable, log.Others)
				}
			})
		}
	}
}

// TestFormatsKeepWhatIsDecided tests what commands ask of events beside the request, in every format.
func TestFormatsKeepWhatIsDecided(t *testing.T) {
	for _, file := range formats(t) {
		var last *auditlog.Event
		if err := auditlog.NewLog(auditlog.Auto).Read(strings.NewReader(string(file.Data)), func(e *auditlog.Event) error {
			last = e
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		object := strings.Join(strings.Fields(string(last.RequestObject)), "")
		if !last.IsLast() || !last.DryRun() || last.Annotations["gate.noderestriction.plus/decision"] != "denied" || last.UserAgent != "kubectl/1" ||
			object != `{"metadata":{"labels":{"a":"}{"}}}` || !strings.Contains(last.ResponseStatus.Message, "denied the request") {
			t.Errorf("%s: %+v, object %s", file.Name, last, object)
		}
	}
}

// TestGKE tests what the names of methods and resources and the codes of an entry become.
func TestGKE(t *testing.T) {
	for name, test := range map[string]struct{ method, resource, status, want string }{
		"a path":                        {"io.k8s.get", "readyz", "", "get /readyz  0"},
		"an object of a group":          {"io.k8s.coordination.v1.leases.update", "coordination.k8s.io/v1/namespaces/n/leases/a", `"status":{},`, "update leases.coordination.k8s.io n/a  200"},
		"a collection":                  {"io.k8s.apps.v1.deployments.deletecollection", "apps/v1/namespaces/n/deployments", `"status":{"code":10},`, "deletecollection deployments.apps in namespace n  409"},
		"a namespace":                   {"io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/n", `"status":{"code":5},`, "delete namespaces n  404"},
		"a subresource of a namespace":  {"io.k8s.core.v1.namespaces.finalize.update", "core/v1/namespaces/n/finalize", `"status":{"code":16},`, "update namespaces/finalize n  401"},
		"a custom resource":             {"com.example.v1.namespaces.get", "example.com/v1/namespaces/n", `"status":{"code":99},`, "get namespaces.example.com n  0"},
		"a name that is no resource":    {"io.k8s.core.v1.nodes.get", "core", `"status":{"code":-1},`, "get   0"},
		"a method that is no method":    {"", "core/v1/nodes", "", " /core/v1/nodes  0"},
		"a name with a version only":    {"io.k8s.core.v1.nodes.get", "core/v1/", "", "get   0"},
		"a name that ends in a version": {"io.k8s.core.v1", "core/v1/nodes", "", "v1 /core/v1/nodes  0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, auditlog.NewLog(auditlog.GKE), `{"insertId":"i","protoPayload":{"serviceName":"k8s.io",`+test.status+
				`"methodName":"`+test.method+`","resourceName":"`+test.resource+`","authenticationInfo":{"principalEmail":"u"}}}`)
			if len(got) != 1 || got[0] != "i: u: "+test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSetFormat(t *testing.T) {
	format := auditlog.Auto
	if err := format.Set("eks"); err == nil || err.Error() != "must be one of auto, events, cloudwatch, gke, aks" || format != auditlog.Auto {
		t.Errorf("got %v, %s", err, format)
	}
	if err := format.Set("aks"); err != nil || format != auditlog.AKS {
		t.Errorf("got %v, %s", err, format)
	}
}
