package e2e_test

import (
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy"
)

// testAttacksOf shows that what nobody denied while a kubelet wrote it is denied to whoever holds the same credential, and
// that each denial is recorded: that the kubelets passed is not for want of a judge.
func (s *suite) testAttacksOf(t *testing.T, l *lane) {
	const name = "victim"
	l.runPod(t, l.pod(name, stays))
	pod := "/api/v1/namespaces/" + metav1.NamespaceDefault + "/pods/" + name
	node := l.getNode(t, l.Node)
	mirror := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"evil-` + l.Node + `","labels":{"app":"shop"},` +
		`"annotations":{"kubernetes.io/config.mirror":"1","kubernetes.io/config.hash":"1","kubernetes.io/config.source":"file"},` +
		`"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"` + l.Node + `","uid":"` + string(node.UID) +
		`","controller":true}]},"spec":{"nodeName":"` + l.Node + `","containers":[{"name":"c","image":"c"}]}}`
	for _, attack := range []struct {
		name    string
		request call
	}{
		{"a label on the Node", patchStatus(l.Node, `{"metadata":{"labels":{"example.com/dedicated":"gpu"}}}`)},
		{"a finalizer on the Node", patchStatus(l.Node, addsFinalizer)},
		{"more memory than there is", patchStatus(l.Node, `{"status":{"capacity":{"memory":"99Ti"}}}`)},
		{"a mirror pod that a Service selects", call{
			method: http.MethodPost, path: "/api/v1/namespaces/default/pods", contentType: mediaJSON, body: []byte(mirror),
		}},
		{"an annotation on a pod", call{
			method: http.MethodPatch, path: pod + "/status", contentType: mediaMergePatch,
			body: []byte(`{"metadata":{"annotations":{"example.com/a":"b"}}}`),
		}},
		{"an eviction", call{
			method: http.MethodPost, path: pod + "/eviction", contentType: mediaJSON,
			body: []byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + name + `"}}`),
		}},
		{"a deletion of a running pod", call{method: http.MethodDelete, path: pod}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			first, err := s.product.Records.Len()
			check(t, err)
			a, err := l.attacker.do(t.Context(), attack.request)
			check(t, err)
			if _, message := a.deniedBy(); a.code != http.StatusForbidden || message == "" {
				t.Errorf("want 403 by us, got %s", a)
			}
			records, err := s.product.Records.Since(first)
			check(t, err)
			if len(records) != 1 || records[0].Msg != policy.Denied || records[0].Node != l.Node {
				t.Errorf("want one record of a denial, got %v", texts(records))
			}
		})
	}
	l.deletePod(t, name)
}
