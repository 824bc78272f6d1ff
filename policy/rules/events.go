// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func events() policy.Rule {
	return policy.Rule{
		ID: "events",
		Doc: policy.Doc{
			Title: "A kubelet may write events only about its own Node and pods",
			Text: "People and programs act on events. A kubelet that writes about the objects of others misleads " +
				"both, in any namespace.",
			Kubelet: "A kubelet writes events about its Node and the pods on it, also about pods that are gone already. Late events about " +
				"a pod that another one of the same name has replaced are denied.",
			Attack: "kubectl --kubeconfig kubelet.conf -n payments create -f event-about-somebody-elses-pod.yaml",
			Spec:   "spec.events",
			Fields: []string{"involvedObject", "regarding"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 plugin/pkg/auth/authorizer/rbac/bootstrappolicy (NodeRules)",
		},
		OptIn:   true,
		Targets: eventWrites(),
		Agents:  kubeletsOnly("it is about the events of kubelets"),
		Compile: compileEvents,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Express: expressEvents,
			Why: "the node of the pod that an event is about is a lookup",
		},
	}
}

func compileEvents(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Events == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		return evaluateObjects(r, func(old, object *event) []policy.Violation {
			vs := aboutOthers(r, object.subject())
			if len(vs) == 0 && r.Operation == admissionv1.Update {
				vs = aboutOthers(r, old.subject())
			}
			return vs
		})
	}, nil
}

// aboutOthers returns a violation if the subject is neither the kubelet's Node nor a pod on it. A pod that no longer exists is allowed.
func aboutOthers(r *policy.Request, subject objectReference) []policy.Violation {
	refuse := func(detail string) []policy.Violation {
		return []policy.Violation{{Field: "involvedObject", Detail: detail}}
	}
	if subject.APIVersion != "" && subject.APIVersion != "v1" {
		return refuse("must not be about " + text.Quote(subject.Kind+" "+subject.Name) + " of " + text.Quote(subject.APIVersion))
	}
	switch subject.Kind {
	case "Node":
		if subject.Name == r.NodeName {
			return nil
		}
	case "Pod":
		pod, found, err := r.LookUpPod(subject.Namespace, subject.Name)
		switch {
		case err != nil:
			return refuse("must be about its own pods, but the pod could not be looked up")
		case !found:
			return nil
		case pod.Spec.NodeName == r.NodeName && hasUID(pod, subject.UID):
			return nil
		case pod.Spec.NodeName == r.NodeName:
			return refuse("must not be about " + text.Quote("Pod "+subject.Name) + " with the UID of another pod")
		}
	}
	return refuse("must not be about " + text.Quote(subject.Kind+" "+subject.Name))
}

// hasUID reports whether uid is empty or identifies the pod. A kubelet identifies a static pod by the hash of its manifest, which is an
// annotation of the mirror pod.
func hasUID(pod *corev1.Pod, uid types.UID) bool {
	if uid == "" || uid == pod.UID {
		return true
	}
	mirror, isMirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	// A hash has no hyphen, so a mirror pod cannot claim the UID of a pod, which the API server generates.
	return isMirror && !strings.Contains(string(uid), "-") &&
		(string(uid) == mirror || string(uid) == pod.Annotations["kubernetes.io/config.hash"])
}

// eventWrites are the writes of events of both API groups.
func eventWrites() []policy.Target {
	var targets []policy.Target
	for _, resource := range []string{"events", "events.events.k8s.io"} {
		targets = append(targets, target(resource, "", admissionv1.Create, admissionv1.Update))
	}
	return targets
}

func expressEvents(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	field := "involvedObject"
	if on.Resource == "events.events.k8s.io" {
		field = "regarding"
	}
	aboutOthers := func(get func(path, missing string) string) string {
		kind := get(field+".kind", "''")
		return expression.Not(expression.And(
			expression.In(get(field+".apiVersion", "''"), "", "v1"),
			expression.Or(kind+" == 'Pod'", expression.And(kind+" == 'Node'", get(field+".name", "''")+" == "+on.NodeName()))))
	}
	violates := aboutOthers(on.New)
	if on.Operation == expression.Update {
		violates = expression.Or(violates, aboutOthers(on.Old))
	}
	return []expression.Expression{when("involvedObject", "must not be about another object than its Node and pods", violates)}
}
