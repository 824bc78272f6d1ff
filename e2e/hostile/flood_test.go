// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
)

// costlyBody is a request that is expensive for its size.
type costlyBody struct {
	name, path, mediaType string
	body                  []byte
}

func costlyBodies() []costlyBody {
	const media = suite.JSONType
	metadata := func(members string) string { return `{"metadata":{"name":"` + node + `"` + members + `}}` }
	members := func(prefix string) string {
		var b strings.Builder
		for i := range 40_000 {
			fmt.Fprintf(&b, `,"%s%d":1`, prefix, i)
		}
		return b.String()
	}
	capacity := func(number string) string {
		return `{"metadata":{"name":"` + node + `"},"status":{"capacity":{"cpu":"` + number + `"}}}`
	}
	var names strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&names, `"node-%d",`, i)
	}
	registers := strings.NewReplacer(`"UPDATE"`, `"CREATE"`, `"subResource":"status",`, "").Replace(
		review("flood", node, capacity("1e-999999999")))
	return []costlyBody{
		{"a registration with a small number", "/admit", media, []byte(registers)},
		{"a small number", "/admit", media, []byte(review("flood", node, capacity("1e-999999999")))},
		{"a large number", "/admit", media, []byte(review("flood", node, capacity("1e999999999")))},
		{"members of metadata", "/admit", media, []byte(strings.Replace(review("flood", node, metadata(members("a"))),
			`"oldObject":{"metadata":{"name":"`+node+`"}}`, `"oldObject":`+metadata(members("b")), 1))},
		{"statuses of containers", "/admit", media, []byte(strings.NewReplacer(
			`"kind":"Node"`, `"kind":"Pod"`, `"resource":"nodes"`, `"resource":"pods"`).Replace(review("flood", node,
			`{"metadata":{"name":"`+node+`","namespace":"default"},"status":{"containerStatuses":[`+
				strings.Repeat(`{"x":1},`, 90_000)+`{}]}}`)))},
		{"the same name again and again", "/policies", media, []byte(policyReview(strings.Repeat(`"a",`, 200_000)))},
		{"many names", "/policies", media, []byte(policyReview(names.String()))},
		{"a long media type", "/policies", strings.Repeat("a", 60<<10), []byte("{}")},
		{"a long media type", "/admit", strings.Repeat("a", 60<<10), []byte("{}")},
	}
}

// policyReview returns a review of a policy that matches these names.
func policyReview(names string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"flood","operation":"CREATE",` +
		`"kind":{"group":"noderestriction.plus","version":"v1alpha1","kind":"NodeRestrictionPolicy"},` +
		`"resource":{"group":"noderestriction.plus","version":"v1alpha1","resource":"noderestrictionpolicies"},` +
		`"userInfo":{"username":"a"},"object":{"apiVersion":"noderestriction.plus/v1alpha1","kind":"NodeRestrictionPolicy",` +
		`"metadata":{"name":"a"},"spec":{"match":{"nodeNames":[` + names + `"b"]},"nodes":{"finalizers":{}}}}}}`
}

// testFlood floods the product with expensive requests from a pod without a certificate. Meanwhile every attack of a kubelet must be
// denied or refused, and the writes of stock kubelets must pass.
func (h *hostile) testFlood(t *testing.T) {
	const connections, each, maxLogged = 12, 90, 512 << 10
	logged := h.logged(t)
	w := h.watch(t)
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { h.attackDuring(ctx, t) })
	others.Go(func() { h.workDuring(ctx, t) })
	h.flood(t, connections, each)
	stop()
	others.Wait()
	w.end(t)
	if n := h.logged(t) - logged; n > maxLogged {
		t.Errorf("%d KiB were logged", n>>10)
	} else {
		t.Logf("%d KiB were logged", n>>10)
	}
	suite.Check(t, h.product.Process().Await(suite.Within(t, time.Minute), h.product.Ready))
	h.checkDenies(t)
}

// flood sends the bodies in turn from a number of connections.
func (h *hostile) flood(t *testing.T, connections, each int) {
	t.Helper()
	bodies := costlyBodies()
	s := h.sender(t, controlplane.Certificate{})
	var sent atomic.Int64
	var mu sync.Mutex
	outcomes := map[string]int{}
	ctx := suite.Within(t, 90*time.Second)
	var group sync.WaitGroup
	for first := range connections {
		group.Go(func() {
			for i := 0; i < each && ctx.Err() == nil; i++ {
				b := bodies[(first+i)%len(bodies)]
				sent.Add(1)
				r, err := s.send(ctx, http.MethodPost, b.path, http.Header{"Content-Type": {b.mediaType}}, b.body)
				outcome := "no answer"
				if err == nil {
					outcome = fmt.Sprint(r.status)
					if r.allowed() && b.path == "/admit" {
						outcome = "allowed"
					}
				}
				mu.Lock()
				outcomes[b.name+": "+outcome]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d requests: %v", sent.Load(), outcomes)
	if want := int64(connections * each); sent.Load() != want {
		t.Errorf("%d of %d requests were sent in time", sent.Load(), want)
	}
}

// attackDuring repeatedly sets a loopback address of the Node.
func (h *hostile) attackDuring(ctx context.Context, t *testing.T) {
	outcomes, marks := map[suite.Outcome]int{}, []string(nil)
	for suite.Sleep(ctx, 200*time.Millisecond) {
		mark := fmt.Sprintf("127.200.%d.%d", len(marks)/250, len(marks)%250)
		marks = append(marks, mark)
		a := h.kubelet.Do(context.WithoutCancel(ctx), suite.PatchNodeStatus(node, suite.JSON(t, nodeChange(mark, "", "", ""))))
		outcomes[a.Outcome]++
		if a.Outcome == suite.Allowed {
			t.Errorf("an attack passed: %s", mark)
		}
	}
	t.Logf("attacks during the flood: %v", outcomes)
	if outcomes[suite.Denied] == 0 {
		t.Errorf("no attack was evaluated")
	}
}

// workDuring does what stock kubelets do: they register and report.
func (h *hostile) workDuring(ctx context.Context, t *testing.T) {
	done := 0
	must := func(what string, kubelet *suite.Client, write suite.Request) {
		if a := kubelet.Do(context.WithoutCancel(ctx), write); a.Outcome != suite.Allowed {
			t.Errorf("%s: %s", what, a)
		}
		done++
	}
	for i := 0; suite.Sleep(ctx, 500*time.Millisecond); i++ {
		name := fmt.Sprintf("newcomer-%d", i)
		kubelet, err := suite.NewKubelet(h.ControlPlane.APIServer, name)
		if err != nil {
			t.Error(err)
			return
		}
		must("a registration", kubelet, suite.RegisterNode(name, map[string]string{"kubernetes.io/os": "linux"}))
		must("a heartbeat", kubelet, suite.Heartbeat(name, time.Now()))
		must("a new capacity", kubelet, suite.PatchNodeStatus(name, fmt.Sprintf(`{"status":{"capacity":{"pods":"%d"}}}`, 100+i)))
	}
	t.Logf("%d stock writes during the flood", done)
}

// logged returns how many bytes the product has written to its log and to standard output.
func (h *hostile) logged(t *testing.T) int64 {
	t.Helper()
	var total int64
	for _, path := range []string{h.product.Process().LogFile(), filepath.Join(h.Dir, "product", "records.jsonl")} {
		info, err := os.Stat(path)
		suite.Check(t, err)
		total += info.Size()
	}
	return total
}
