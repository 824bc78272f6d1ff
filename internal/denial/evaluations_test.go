// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// forbidsFinalizers compiles a policy about finalizers of Nodes that restricts the named nodes.
func forbidsFinalizers(t testing.TB, name string, generation int64, nodes ...v1alpha1.Pattern) *policy.Policy {
	t.Helper()
	object := &v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: generation},
		Spec: v1alpha1.NodeRestrictionPolicySpec{
			ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Audit},
			Nodes:             v1alpha1.NodeRules{Finalizers: &v1alpha1.NodeFinalizers{}},
		},
	}
	if len(nodes) > 0 {
		object.Spec.Match = &v1alpha1.Match{NodeNames: nodes}
	}
	p, errs := rules.NewCompiler().Compile(object)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return p
}

// nodeStatusWrite is an update of nodes/status that changes nothing.
func nodeStatusWrite() *policy.Request {
	return &policy.Request{NodeName: "worker-1", Write: policy.Write{
		Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
		OldObject: []byte(`{"metadata":{"name":"worker-1"}}`), Object: []byte(`{"metadata":{"name":"worker-1"}}`),
	}}
}

// reports collects what Evaluations would add to the policies, and when.
type reports struct {
	begin time.Time

	mu  sync.Mutex
	log []string
	err error
}

func (r *reports) add(_ context.Context, e evaluated, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	entry := fmt.Sprintf("%s %s@%d", now.Sub(r.begin), e.policy, e.generation)
	for _, w := range e.writes {
		entry += fmt.Sprintf(" %s+%d", w.Write, w.Count)
	}
	r.log = append(r.log, entry)
	return nil
}

func (r *reports) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// reported runs Evaluations over what happens, in fake time, and returns what they reported.
func reported(t *testing.T, happens func(e *Evaluations, r *reports)) []string {
	t.Helper()
	r := &reports{}
	synctest.Test(t, func(t *testing.T) {
		r.begin = time.Now()
		e := newEvaluations(r.add, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Start(ctx) }()
		synctest.Wait()
		happens(e, r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r.log
}

func evaluate(e *Evaluations, set *policy.Set, r *policy.Request) { e.Evaluated(r, set.Evaluate(r)) }

func TestEvaluationsReportTheFirstWriteOfAKindSoonAndOthersLater(t *testing.T) {
	set := policy.NewSet(forbidsFinalizers(t, "a", 3))
	registration := nodeStatusWrite()
	registration.Operation, registration.Subresource, registration.OldObject = admissionv1.Create, "", nil
	got := reported(t, func(e *Evaluations, _ *reports) {
		e.Expect(set)
		for range 5 {
			evaluate(e, set, nodeStatusWrite())
		}
		time.Sleep(3 * time.Second)
		evaluate(e, set, registration)
		evaluate(e, set, nodeStatusWrite())
		time.Sleep(time.Minute)
		for range 7 {
			evaluate(e, set, nodeStatusWrite())
		}
		time.Sleep(10 * time.Minute)
		evaluate(e, set, nodeStatusWrite())
	})
	want := []string{
		"1s a@3 UPDATE nodes/status+5", "11s a@3 CREATE nodes+1 UPDATE nodes/status+1", "5m0s a@3 UPDATE nodes/status+7", "10m0s a@3",
		"11m3s a@3 UPDATE nodes/status+1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestEvaluationsCountOnlyWhatThePolicyHasEvaluated(t *testing.T) {
	dryRun, undecodable, eviction := nodeStatusWrite(), nodeStatusWrite(), nodeStatusWrite()
	dryRun.DryRun = true
	undecodable.Object = []byte(`{`)
	eviction.Operation, eviction.Resource, eviction.Subresource = admissionv1.Create, "pods", "eviction"
	for name, test := range map[string]struct {
		write *policy.Request
		want  string
	}{
		"a write without a violation counts, for the policies that restrict the kubelet": {
			nodeStatusWrite(), "[1s everyone@1 UPDATE nodes/status+1]",
		},
		"a dry run does not":                           {dryRun, "[]"},
		"a write that could not be evaluated does not": {undecodable, "[]"},
		"a write that no stock kubelet makes does not": {eviction, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			set := policy.NewSet(forbidsFinalizers(t, "everyone", 1), forbidsFinalizers(t, "others", 1, "other-*"))
			got := reported(t, func(e *Evaluations, _ *reports) {
				e.Expect(set)
				evaluate(e, set, test.write)
				time.Sleep(statusInterval)
			})
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestEvaluationsBeginAgainWithANewGeneration(t *testing.T) {
	first, second := policy.NewSet(forbidsFinalizers(t, "a", 1)), policy.NewSet(forbidsFinalizers(t, "a", 2))
	got := reported(t, func(e *Evaluations, _ *reports) {
		e.Expect(first)
		evaluate(e, first, nodeStatusWrite())
		e.Expect(second)
		evaluate(e, first, nodeStatusWrite()) // it was being evaluated when the set changed
		evaluate(e, second, nodeStatusWrite())
	})
	if want := "[0s a@2 UPDATE nodes/status+1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestEvaluationsKeepWhatTheyCouldNotReport(t *testing.T) {
	set := policy.NewSet(forbidsFinalizers(t, "a", 1))
	got := reported(t, func(e *Evaluations, r *reports) {
		e.Expect(set)
		r.fail(errors.New("the API server is away"))
		evaluate(e, set, nodeStatusWrite())
		time.Sleep(statusInterval)
		evaluate(e, set, nodeStatusWrite())
		r.fail(nil)
	})
	if want := "[10s a@1 UPDATE nodes/status+2]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestEvaluationsForgetAPolicyThatIsGone(t *testing.T) {
	set := policy.NewSet(forbidsFinalizers(t, "a", 1))
	got := reported(t, func(e *Evaluations, r *reports) {
		e.Expect(set)
		r.fail(apierrors.NewNotFound(schema.GroupResource{}, "a"))
		evaluate(e, set, nodeStatusWrite())
		time.Sleep(statusInterval)
		r.fail(nil)
	})
	if len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestConcurrentEvaluationsAreAllCounted(t *testing.T) {
	const writers, writes = 8, 1000
	set := policy.NewSet(forbidsFinalizers(t, "a", 1))
	var mu sync.Mutex
	total := int64(0)
	e := newEvaluations(func(_ context.Context, e evaluated, _ time.Time) error {
		mu.Lock()
		defer mu.Unlock()
		for _, w := range e.writes {
			total += w.Count
		}
		return nil
	}, logr.Discard())
	e.Expect(set)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			r := nodeStatusWrite()
			d := set.Evaluate(r)
			for range writes {
				e.Evaluated(r, d)
			}
		})
	}
	for range 100 {
		e.flush(t.Context(), true)
		e.Expect(set)
	}
	group.Wait()
	e.flush(t.Context(), true)
	if total != writers*writes {
		t.Errorf("%d writes were reported, want %d", total, writers*writes)
	}
}

func TestEvaluationsWithoutPoliciesCountNothing(t *testing.T) {
	var e Evaluations
	set := policy.NewSet(forbidsFinalizers(t, "a", 1))
	evaluate(&e, set, nodeStatusWrite())
	e.flush(t.Context(), true)
}

func TestWhatWasEvaluatedIsAddedToWhatIsStored(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 5000, time.UTC)
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(now.Add(-ago).Truncate(time.Second)) }
	stored := func(generation int64, ago time.Duration, writes ...v1alpha1.EvaluatedWrites) *v1alpha1.Evaluated {
		return &v1alpha1.Evaluated{Generation: generation, ReportTime: at(ago), Writes: writes}
	}
	writes := func(name string, count int64, ago time.Duration) v1alpha1.EvaluatedWrites {
		return v1alpha1.EvaluatedWrites{Write: name, Count: count, LastTime: at(ago)}
	}
	for name, test := range map[string]struct {
		stored *v1alpha1.Evaluated
		writes []v1alpha1.EvaluatedWrites
		want   *v1alpha1.Evaluated
	}{
		"the first report is written, also of nothing": {want: stored(2, 0)},
		"counts are added, and the later time stays": {
			stored: stored(2, time.Minute, writes("CREATE pods", 1, time.Hour), writes("UPDATE pods/status", 5, 0)),
			writes: []v1alpha1.EvaluatedWrites{writes("UPDATE pods/status", 3, time.Minute), writes("CREATE nodes", 1, time.Second)},
			want: stored(2, 0, writes("CREATE nodes", 1, time.Second), writes("CREATE pods", 1, time.Hour),
				writes("UPDATE pods/status", 8, 0)),
		},
		"what another generation has evaluated does not count": {
			stored: stored(1, time.Minute, writes("CREATE pods", 9, time.Hour)),
			writes: []v1alpha1.EvaluatedWrites{writes("CREATE pods", 1, 0)},
			want:   stored(2, 0, writes("CREATE pods", 1, 0)),
		},
		"nothing new is not written soon after another report": {stored: stored(2, maxSilence-time.Second)},
		"nothing new is written after a long silence": {
			stored: stored(2, maxSilence, writes("CREATE pods", 9, time.Hour)),
			want:   stored(2, 0, writes("CREATE pods", 9, time.Hour)),
		},
		"a clock that is behind does not make a report older": {
			stored: stored(2, -time.Minute), writes: []v1alpha1.EvaluatedWrites{writes("CREATE pods", 1, 0)},
			want: stored(2, -time.Minute, writes("CREATE pods", 1, 0)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := evaluated{policy: "a", generation: 2, writes: test.writes}
			got := e.addedTo(test.stored, now)
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
