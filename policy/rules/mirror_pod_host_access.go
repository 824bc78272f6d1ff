// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func mirrorPodHostAccess() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-host-access",
		Doc: policy.Doc{
			Title: "A mirror pod may show only the access to the host that a policy allows",
			Text: "A kubelet runs what it likes on its host; a mirror pod with every privilege makes it look as if " +
				"the API had admitted it, past the Pod Security Standard of its namespace.",
			Kubelet: "A kubelet copies the manifest of a static pod. Control planes use the host's network and paths.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f privileged-mirror-pod.yaml",
			Spec:    "spec.mirrorPods.hostAccess",
			Fields:  []string{"spec.hostNetwork", "spec.hostPID", "spec.hostIPC", "spec.containers", "spec.initContainers", "spec.volumes"},
			Since:   "v0.1.0",
			Source:  "Pod Security Standards, profile baseline",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodHostAccess,
		CEL:     exactly(expressMirrorPodHostAccess),
	}
}

func compileMirrorPodHostAccess(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.HostAccess
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("mirrorPods", "hostAccess")
	if errs := pattern.CheckList(cfg.HostPathPrefixes, 64, at.Child("hostPathPrefixes")); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	for _, access := range []struct {
		name  string
		value v1alpha1.Access
	}{
		{"hostNetwork", cfg.HostNetwork}, {"hostPID", cfg.HostPID}, {"hostIPC", cfg.HostIPC}, {"privileged", cfg.Privileged},
	} {
		errs = append(errs, pattern.CheckEnum(access.value, at.Child(access.name), v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	}
	for i, prefix := range cfg.HostPathPrefixes {
		if !path.IsAbs(prefix) {
			errs = append(errs, field.Invalid(at.Child("hostPathPrefixes").Index(i), text.Cut(prefix, text.MaxQuoted), "must begin with /"))
		}
	}
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		var vs []policy.Violation
		for _, use := range []struct {
			field string
			used  bool
		}{
			{"spec.containers", hasPrivileged(pod) && cfg.Privileged != v1alpha1.AccessAllow},
			{"spec.hostIPC", pod.HostIPC().New() && cfg.HostIPC != v1alpha1.AccessAllow},
			{"spec.hostNetwork", pod.HostNetwork().New() && cfg.HostNetwork == v1alpha1.AccessDeny},
			{"spec.hostPID", pod.HostPID().New() && cfg.HostPID != v1alpha1.AccessAllow},
		} {
			if use.used {
				what := strings.TrimPrefix(use.field, "spec.")
				if what == "containers" {
					what = "privileged containers"
				}
				vs = append(vs, policy.Violation{Field: use.field, Detail: "must not use " + what})
			}
		}
		return appendViolation(vs, "spec.volumes", "must not mount host path", hostPathsOutside(pod.Volumes().New(), cfg.HostPathPrefixes))
	}, errs
}

func hasPrivileged(pod *object.Pod) bool {
	privileged := func(c object.Container) bool { return c.SecurityContext != nil && c.SecurityContext.Privileged }
	return slices.ContainsFunc(pod.Containers().New(), privileged) || slices.ContainsFunc(pod.InitContainers().New(), privileged)
}

// hostPathsOutside returns the host paths that are in no directory of the list. It cleans a path first, as the kernel resolves it.
func hostPathsOutside(volumes []object.Volume, directories []string) []string {
	var outside []string
	for _, v := range volumes {
		if v.HostPath == nil || len(directories) == 0 {
			continue
		}
		clean := path.Clean(v.HostPath.Path) + "/"
		inside := func(directory string) bool {
			return strings.HasPrefix(clean, strings.TrimSuffix(path.Clean(directory), "/")+"/")
		}
		if !slices.ContainsFunc(directories, inside) {
			outside = append(outside, v.HostPath.Path)
		}
	}
	return outside
}

func expressMirrorPodHostAccess(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.MirrorPods.HostAccess
	var expressions []expression.Expression
	if cfg.Privileged != v1alpha1.AccessAllow {
		containers, initial := on.New("spec.containers", "[]"), on.New("spec.initContainers", "[]")
		const privileged = "e.?securityContext.?privileged.orValue(false)"
		expressions = append(expressions, when("spec.containers", "must not use privileged containers", on.Bounded(
			on.Longer(expression.MaxItems, containers, initial),
			expression.Or(expression.Exists(containers, "e", privileged), expression.Exists(initial, "e", privileged)))))
	}
	for _, use := range []struct {
		name    string
		refused bool
	}{
		{"hostIPC", cfg.HostIPC != v1alpha1.AccessAllow},
		{"hostNetwork", cfg.HostNetwork == v1alpha1.AccessDeny},
		{"hostPID", cfg.HostPID != v1alpha1.AccessAllow},
	} {
		if use.refused {
			expressions = append(expressions, when("spec."+use.name, "must not use "+use.name, on.New("spec."+use.name, "false")))
		}
	}
	if len(cfg.HostPathPrefixes) == 0 {
		return expressions
	}
	directories := make([]string, len(cfg.HostPathPrefixes))
	for i, directory := range cfg.HostPathPrefixes {
		directories[i] = strings.TrimSuffix(path.Clean(directory), "/") + "/"
	}
	volumes := on.New("spec.volumes", "[]")
	const hostPath = "e.?hostPath.?path.orValue('')"
	// The API server refuses a path with a segment of two dots.
	outside := expression.And("e.?hostPath.hasValue()", on.Bounded(larger(hostPath, expression.MaxPath), expression.Or(
		"!"+hostPath+".startsWith('/')", "'..' in "+hostPath+".split('/')",
		"!"+expression.List(directories...)+".exists(d, "+expression.CleanPath(hostPath)+".startsWith(d))")))
	return append(expressions, named("spec.volumes", "must not mount host path", on.Within(expression.MaxVolumes, "volumes",
		"[]", volumes, expression.Texts(expression.Filter(volumes, "e", outside), hostPath))))
}
